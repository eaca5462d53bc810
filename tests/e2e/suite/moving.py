"""Moving from AWS's provider: pods that run on with its plain files are taken over without a restart."""

import json

from . import kube
from .cases import ALONE, DRIVER_WRITES, PROVIDER_WRITES_CALLED_OFTEN, case
from .kube import ROTATES_WITHIN
from .pods import MOUNT, host, password
from .tools import expect, now_ms, same, until


@case(DRIVER_WRITES, PROVIDER_WRITES_CALLED_OFTEN, company=ALONE)
def running_pod_is_taken_over(t, ns):
    """Its plain files become Latchkey's, a rotation reaches it afterwards, and the pod is the same all along.
    A reader without a pause sees no missing and no half file where Latchkey writes; where the driver does,
    what it sees is recorded."""
    t.latchkey.uninstall()
    t.plain_provider.start()
    plain = {"password": "first", "host": "db.example", "dropped": "no longer asked for"}
    ns.secret_class("class", [password(ns.name), host(ns.name)], plainFiles=json.dumps(plain))
    pod = ns.pod(reads=["password", "host"], pause="0").ready()
    uid = pod.uid()
    same(kinds(pod), {name: "regular file" for name in plain}, "the files as the other provider left them")

    t.plain_provider.stop()
    t.latchkey.install(t.writer)
    began = now_ms()
    until("the files are Latchkey's", lambda: kinds(pod).get("password") == "symbolic link", 60, every=0.3)
    t.note(f"taken over {(now_ms() - began) / 1000:.1f} s after the provider was ready; the files: {kinds(pod)}")
    t.aws.put_secret(ns.secret(), "second")
    changed = now_ms()
    t.note(f"a rotation reached it after {(pod.first('second', within=ROTATES_WITHIN) - changed) / 1000:.1f} s")

    pod.untouched_since(uid)
    seen = seen_by_the_reader(t, pod)
    expect(set(seen["password"]) <= {"first", "second", "MISSING"}, f"in password the reader saw {seen['password']}")
    expect(set(seen["host"]) <= {"db.example", "MISSING"}, f"in host the reader saw {seen['host']}")
    if t.writer == "provider":
        same(seen, {"password": ["first", "second"], "host": ["db.example"]}, "what the reader saw")
        same(set(kinds(pod)), {"password", "host"}, "the files that are left")
    pod.delete()


@case(DRIVER_WRITES, PROVIDER_WRITES_CALLED_OFTEN, company=ALONE, needs_ascp=True)
def moves_from_ascp_and_back(t, ns):
    """The guide in docs/src/moving.md, step by step, with AWS's provider itself: a running pod changes over and back
    without a restart, a rotation reaches it under either, and new pods start under either."""
    t.latchkey.uninstall()
    t.ascp.install()
    ns.secret_class("class", [password(ns.name), host(ns.name)], usePodIdentity="true")
    of_both = {"account": "pod-identity", "reads": ["password", "host"]}
    pod = ns.pod(**of_both, pause="0").ready()
    uid = pod.uid()
    same(kinds(pod), {name: "regular file" for name in of_both["reads"]}, "the files as AWS's provider left them")
    def rotate(text):
        t.aws.put_secret(ns.secret(), text)
        changed = now_ms()
        return (pod.first(text, within=ROTATES_WITHIN) - changed) / 1000
    t.note(f"a rotation by AWS's provider: {rotate('second'):.1f} s")

    t.latchkey.install_without_waiting(t.writer)
    until("Latchkey sees who holds the socket", lambda: "secrets-store-csi-driver-provider-aws" in t.latchkey.log(), 30)
    same([status["ready"] for status in t.latchkey.statuses() if status["ready"]], [], "ready containers of Latchkey")
    t.ascp.uninstall()
    t.latchkey.ready()
    until("the files are Latchkey's", lambda: kinds(pod).get("password") == "symbolic link", 60, every=0.3)
    t.note(f"a rotation by Latchkey: {rotate('third'):.1f} s")
    same(ns.pod("started-by-latchkey", **of_both).ready().read(), "third", "the file of a pod started by Latchkey")

    t.ascp.install()
    t.latchkey.uninstall()
    t.note(f"a rotation after the way back: {rotate('fourth'):.1f} s")
    same(kinds(pod), {name: "regular file" for name in of_both["reads"]}, "the files as AWS's provider left them")
    started_by_ascp = ns.pod("started-by-ascp", **of_both).ready()
    same(started_by_ascp.read(), "fourth", "the file of a pod started by AWS's provider")
    pod.untouched_since(uid)
    seen_by_the_reader(t, pod)
    kube.kubectl("delete", "pods", "--all", f"--namespace={ns.name}", "--timeout=60s")
    t.ascp.uninstall()
    t.latchkey.install(t.writer)


def seen_by_the_reader(t, pod):
    """What its reader saw in each file, in order; noted with how many milliseconds a file was missing each time."""
    sights = {file: pod.saw(file) for file in ("password", "host")}
    gaps = [then.ms - missing.ms for those in sights.values() for missing, then in zip(those, those[1:])
            if missing.text == "MISSING"]
    seen = {file: [one.text.strip('"') for one in those] for file, those in sights.items()}
    t.note(f"the reader saw {seen} in {max(one.reads for one in pod.saw())} reads; a file was missing for {gaps} ms")
    return seen


def kinds(pod):
    """What stands in the mount, by name: "regular file", "symbolic link"."""
    script = f"cd {MOUNT} && for file in *; do stat -c '%F %n' $file; done"
    lines = pod.run("/bin/sh", "-c", script).splitlines()
    return {name: kind for kind, _, name in (line.rpartition(" ") for line in lines)}
