"""What the provider needs is away for a while: AWS, Kubernetes' API, the provider itself."""

import socket
import time

from . import kube
from .aws import AGENT
from .cases import ALONE, DRIVER_WRITES, PROVIDER_WRITES, THROUGHOUT, case
from .kube import ROTATES_WITHIN, SOCKETS, Release
from .refusing import READ
from .tools import Stopwatch, expect, has, now_ms, same, until


@case(company=ALONE)
def kubernetes_api_down_for_a_while(t, ns):
    """Running pods keep their files, the provider lives on, and afterwards everything goes on."""
    ns.password()
    pod = ns.pod().ready()
    restarts = t.latchkey.restarts()
    kube.ApiServer.stop()
    t.aws.put_secret(ns.secret(), "second")
    changed = now_ms()
    end = time.monotonic() + 20
    while time.monotonic() < end and len(pod.saw()) < 2:
        time.sleep(0.2)
    seen = [one.text for one in pod.saw()]
    t.note(f"a rotation without the API server: the pod saw {seen} after {(now_ms() - changed) / 1000:.0f} s")
    kube.ApiServer.start()
    pod.first("second", within=ROTATES_WITHIN)
    same([one.text for one in pod.saw()], ['"first"', '"second"'], "what the pod saw")
    ns.pod("later").ready()
    same(t.latchkey.restarts(), restarts, "restarts of the provider")


@case(company=ALONE)
def aws_down_for_a_while(t, ns):
    """Running pods keep their files, and new pods of their service accounts start from the last known good, by IRSA
    and by Pod Identity. A pod whose secret was never read here, and one of a service account that was never here,
    say in their events why they wait, and start when AWS is back."""
    ns.password()
    pod = ns.pod().ready()
    ns.password("by-pod-identity", usePodIdentity="true")
    ns.pod("runs-by-pod-identity", of="by-pod-identity", account="pod-identity").ready()
    uid, restarts = pod.uid(), t.latchkey.restarts()
    t.aws.stop()
    # A class whose secret this node has never read: no last known good can stand in for it.
    ns.secret_class("unread", [{"objectName": f"{ns.name}/login", "objectType": "secretsmanager"}])
    waiting = ns.pod("waiting", of="unread", reads=[f"{ns.name}_login"])
    text = waiting.mount_failure("Internal", "cannot reach the endpoint", within=100)
    t.note(text)
    has(text, f"{ns.name}/login", READ, "Connection refused")
    waiting_for_the_agent = ns.pod("waits-for-the-agent", of="by-pod-identity", account="unread-pod-identity")
    text = waiting_for_the_agent.mount_failure("Internal", "Pod Identity", within=100)
    t.note(text)
    has(text, f"http://{AGENT}", "Connection refused")
    same(pod.read(), "first", "the file of the running pod")
    same(ns.pod("from-last-known-good").ready().read(), "first", "the file of a pod created meanwhile")
    later = ns.pod("from-last-known-good-by-pod-identity", of="by-pod-identity", account="pod-identity")
    same(later.ready().read(), "first", "the file of a pod by Pod Identity created meanwhile")
    t.aws.start()
    watch = Stopwatch()
    waiting.ready()
    waiting_for_the_agent.ready()
    t.note(f"the pods that waited are ready {watch():.1f} s after AWS is back")
    t.aws.put_secret(ns.secret(), "second")
    pod.first("second", within=ROTATES_WITHIN)
    pod.untouched_since(uid)
    same(t.latchkey.restarts(), restarts, "restarts of the provider")


@case(PROVIDER_WRITES, company=THROUGHOUT)
def provider_down_for_130_seconds(t, ns):
    """The trap of a long driver interval: the kubelet gives a first mount up after two minutes, and the driver
    may then take the empty folder for one that it has filled. What happens is recorded; that the pod is never
    served half a set, and that a new pod is served at once, must hold."""
    late = Release("late", SOCKETS / "late.sock")
    ns.password(provider="late")
    with socket.socket(socket.AF_UNIX) as dead:
        # Nobody listens here: the driver waits for it instead of failing at once.
        dead.bind(str(late.socket))
    pod = ns.pod()
    time.sleep(130)
    t.note(f"while it was down: {pod.mount_failures()}")
    late.install("driver")
    try:
        pod.ready()
        seen = [one.text for one in pod.saw()]
    except AssertionError:
        seen = ["not ready after another 130 s"]
    t.note(f"the pod that met the outage saw {seen}")
    expect(seen in (['"first"'], ["MISSING"], ["not ready after another 130 s"]), f"it saw {seen}")
    after = ns.pod("after").ready()
    same(after.read(), "first", "a pod created afterwards")
    # In this order: the driver calls a provider that has gone for two minutes, and so long its pods cannot go either.
    pod.delete()
    after.delete()
    late.uninstall()


@case(DRIVER_WRITES, PROVIDER_WRITES)
def deleted_pods_do_not_hang(t, ns):
    """Pods whose mounts were written again and again go at once when deleted: nothing holds their mounts."""
    ns.password()
    pods = ns.pods([f"app-{number}" for number in range(6)])
    for pod in pods:
        pod.first("first")
    t.aws.put_secret(ns.secret(), "second")
    for pod in pods:
        pod.first("second", within=ROTATES_WITHIN)
    mounted = mounts(ns.name, pods)
    same(len(mounted), len(pods), f"the number of mounts, which are {mounted}")
    watch = Stopwatch()
    kube.kubectl("delete", "pods", "--all", f"--namespace={ns.name}", "--timeout=60s")
    t.figure(f"six pods deleted → gone, {t.writer} writes (s)", watch())
    until("the mounts have gone", lambda: not set(mounted) & set(all_mounts()), 30)


def all_mounts():
    """The mount points of this node's CSI volumes, where the kubelet sees them."""
    with open("/proc/mounts", encoding="utf-8") as mounts_file:
        points = [line.split()[1] for line in mounts_file if "kubernetes.io~csi" in line]
    return [point for point in points if point.startswith("/var/lib/kubelet/")]


def mounts(namespace, pods):
    """The mount points of these pods' volumes."""
    names = {pod.name for pod in pods}
    uids = [one["metadata"]["uid"] for one in kube.get("pods", namespace=namespace) if one["metadata"]["name"] in names]
    return [mount for mount in all_mounts() if any(uid in mount for uid in uids)]
