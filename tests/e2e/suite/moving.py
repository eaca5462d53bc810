"""Moving from AWS's provider: pods that run on with its plain files are taken over without a restart."""

import json

from .cases import MODES, case
from .kube import ROTATES_WITHIN
from .pods import MOUNT, host, password
from .tools import expect, now_ms, same, until


@case("driver", "provider")
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
    t.latchkey.install(MODES[t.mode])
    began = now_ms()
    until("the files are Latchkey's", lambda: kinds(pod).get("password") == "symbolic link", 60, every=0.3)
    t.note(f"taken over {(now_ms() - began) / 1000:.1f} s after the provider was ready; the files: {kinds(pod)}")
    t.aws.put_secret(ns.secret(), "second")
    changed = now_ms()
    t.note(f"a rotation reached it after {(pod.first('second', within=ROTATES_WITHIN) - changed) / 1000:.1f} s")

    pod.untouched_since(uid)
    seen = {file: [one.text.strip('"') for one in pod.saw(file)] for file in ("password", "host")}
    t.note(f"the reader saw {seen} in {max(one.reads for one in pod.saw())} reads")
    expect(set(seen["password"]) <= {"first", "second", "MISSING"}, "the reader saw something else")
    expect(set(seen["host"]) <= {"db.example", "MISSING"}, "the reader saw something else")
    if t.mode == "provider":
        same(seen, {"password": ["first", "second"], "host": ["db.example"]}, "what the reader saw")
        same(set(kinds(pod)), {"password", "host"}, "the files that are left")
    pod.delete()


def kinds(pod):
    """What stands in the mount, by name: "regular file", "symbolic link"."""
    script = f"cd {MOUNT} && for file in *; do stat -c '%F %n' $file; done"
    lines = pod.run("/bin/sh", "-c", script).splitlines()
    return {name: kind for kind, _, name in (line.rpartition(" ") for line in lines)}
