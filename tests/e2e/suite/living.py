"""The provider's own life: killed, replaced, upgraded, removed, beside another; and what it may do."""

import pathlib
import socket
import time

from . import kube
from .cases import ALONE, DRIVER_WRITES, PROVIDER_WRITES, case
from .kube import SOCKET, SOCKETS, Release
from .socket_watch import SocketWatch
from .tools import Stopwatch, expect, has, same, until

ROLLOUTS = 4


@case(DRIVER_WRITES, PROVIDER_WRITES)
def provider_has_no_powers(t, _ns):
    """uid 0 without a capability, no new privileges, seccomp, a root that is read-only."""
    process = pathlib.Path("/proc") / str(t.latchkey.process())
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    same(status["Uid"].split(), ["0"] * 4, "uid")
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        same(int(status[kind], 16), 0, kind)
    same(status["NoNewPrivs"], "1", "NoNewPrivs")
    same(status["Seccomp"], "2", "Seccomp")
    mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    root = next(mount for mount in mounts if mount[4] == "/")
    expect("ro" in root[5].split(","), f"the root is not read-only: {root}")
    pods = [mount[4] for mount in mounts if mount[4].startswith("/var/lib/kubelet")]
    same(bool(pods), t.writer == "provider", f"whether the pods' folders are there: {pods}")


@case(DRIVER_WRITES, PROVIDER_WRITES, company=ALONE)
def killed_while_pods_start(t, ns):
    """SIGKILL twice while ten pods start: every pod starts, nothing is left half."""
    ns.password()
    restarts = t.latchkey.restarts()
    pods = ns.pods([f"app-{number}" for number in range(10)])
    watch = Stopwatch()
    for number in range(2):
        t.latchkey.kill()
        until("it is started again", lambda wanted=restarts + number + 1: t.latchkey.restarts() == wanted, 90)
        until("it runs", t.latchkey.container, 60)
    for pod in pods:
        pod.ready()
        same([one.text for one in pod.saw()], ['"first"'], f"what {pod.name} saw")
    failures = sum(len(pod.mount_failures()) for pod in pods)
    t.note(f"all ten ready {watch():.1f} s after their creation, two kills between; {failures} mounts failed meanwhile")
    t.latchkey.ready()


@case(DRIVER_WRITES, PROVIDER_WRITES, company=ALONE)
def rolling_update_while_pods_start(t, ns):
    """Rollouts while pods start all the time: no mount fails, the socket is there at every look."""
    ns.password()
    pods = []
    sockets = SocketWatch(SOCKET)
    for number in range(ROLLOUTS):
        kube.kubectl("rollout", "restart", f"--namespace={kube.SYSTEM}", f"daemonset/{t.latchkey.full_name}")
        watch = Stopwatch()
        def done():
            status = kube.get("daemonset", t.latchkey.full_name, kube.SYSTEM)
            new = status["metadata"]["generation"] == status["status"].get("observedGeneration")
            return new and status["status"].get("updatedNumberScheduled") == 1 and len(t.latchkey.pods()) == 1
        while not done():
            expect(watch() < 120, f"rollout {number + 1} has not ended after {watch():.0f} s")
            pods.append(ns.pod(f"app-{len(pods)}", pause="200ms"))
            time.sleep(0.3)
        t.note(f"rollout {number + 1} took {watch():.1f} s")
    for pod in pods:
        pod.first("first", within=60)
    counts = sockets.counts()
    t.note(f"{len(pods)} pods started meanwhile; the socket: {counts}")
    same([text for pod in pods for text in pod.mount_failures()], [], "failed mounts")
    same(counts["missing"], 0, "looks that found no socket")
    same(counts["refused"], 0, "refused connections")
    expect(counts["sockets"] > ROLLOUTS, f"{counts['sockets']} sockets in {ROLLOUTS} rollouts: not all were watched")


@case(company=ALONE)
def upgrade_rollback_uninstall(t, ns):
    """Helm's ways: each leaves a provider that serves; the last leaves nothing, and running pods their files."""
    ns.password()
    pod = ns.pod("before").ready()
    uid = pod.uid()
    t.latchkey.install("provider", "logLevel=debug")
    ns.pod("upgraded").ready()
    kube.helm("rollback", t.latchkey.name)
    t.latchkey.ready()
    given = arguments(t.latchkey)
    expect("--driver-writes-secrets=true" in given, f"the rollback has not restored the values: {given}")
    ns.pod("rolled-back").ready()
    watch = Stopwatch()
    t.latchkey.uninstall()
    t.note(f"uninstalled in {watch():.1f} s")
    same([one.name for one in SOCKETS.iterdir()], [], "what is left in the folder of the sockets")
    for kind in ("daemonset", "clusterrole", "clusterrolebinding", "serviceaccount"):
        same(kube.get(kind, selector="app.kubernetes.io/instance=latchkey"), [], f"{kind}s left behind")
    # The driver keeps its connection to the provider's path and waits for it: the pod waits with it.
    without = ns.pod("without-provider")
    same(pod.read(), "first", "the file of the pod that runs on")
    until("the kubelet has the pod", lambda: without.state()["status"].get("conditions"), 30)
    same(without.saw(), [], "what a pod without a provider saw")
    pod.untouched_since(uid)
    t.latchkey.install("driver")
    watch = Stopwatch()
    without.ready()
    t.note(f"the pod that waited is ready {watch():.1f} s after the provider is")


@case(company=ALONE)
def stale_socket_is_replaced(t, ns):
    """A socket that a killed provider left behind is nobody's: the next provider takes its place."""
    t.latchkey.uninstall()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(SOCKET))
    expect(SOCKET.is_socket(), "there is no stale socket to be replaced")
    t.latchkey.install("driver")
    ns.password()
    watch = Stopwatch()
    ns.pod().ready()
    t.note(f"a pod was ready {watch():.1f} s after its creation")


@case(company=ALONE)
def deleted_socket_is_bound_again(t, ns):
    """Another provider's removal deletes our socket while we run: it is back soon, and pods start."""
    ns.password()
    restarts = t.latchkey.restarts()
    SOCKET.unlink()
    watch = Stopwatch()
    pod = ns.pod()
    until("the socket is back", SOCKET.is_socket, 15, every=0.01)
    t.note(f"the socket is back after {watch():.1f} s")
    pod.ready()
    same(t.latchkey.restarts(), restarts, "restarts of the provider")
    has(t.latchkey.log(), "binding it again")


@case(company=ALONE)
def other_provider_on_the_same_socket(t, ns):
    """Another provider starts, deletes our socket and binds its own: it is named and not fought over. When it goes
    and deletes the socket once more, we serve again."""
    ns.password()
    restarts = t.latchkey.restarts()
    t.plain_provider.start()
    its = SOCKET.stat().st_ino
    until("Latchkey is not ready", lambda: not ready(t.latchkey), 40, every=0.3)
    same(SOCKET.stat().st_ino, its, "the socket that stands there")
    has(t.latchkey.log(), '"plain-provider"')
    t.plain_provider.stop()
    watch = Stopwatch()
    until("the socket is back", SOCKET.is_socket, 15, every=0.01)
    t.note(f"the socket is back {watch():.1f} s after the other provider went")
    until("Latchkey is ready", lambda: ready(t.latchkey), 40, every=0.3)
    ns.pod().ready()
    same(t.latchkey.restarts(), restarts, "restarts of the provider")


@case()
def two_providers_side_by_side(t, ns):
    """A second release with another socket name; each serves its own classes, and the going of one is no matter."""
    beside = Release("beside", SOCKETS / "latchkey.sock")
    beside.install("provider")
    ns.password("class-aws")
    ns.password("class-latchkey", provider="latchkey")
    of_aws, of_latchkey = ns.pod("of-aws", of="class-aws"), ns.pod("of-latchkey", of="class-latchkey")
    for pod, its, other in ((of_aws, t.latchkey, beside), (of_latchkey, beside, t.latchkey)):
        name = f"{ns.name}/{pod.ready().name}"
        expect(name in its.log(), f"{its.name}'s log does not name {pod.name}")
        expect(name not in other.log(), f"{other.name}'s log names {pod.name}")
    # In this order: the driver calls a provider that has gone for two minutes, and so long its pods cannot go either.
    of_latchkey.delete()
    beside.uninstall()
    same([one.socket.exists() for one in (t.latchkey, beside)], [True, False], "whether the sockets are there")
    ns.pod("of-aws-later", of="class-aws").ready()


def ready(release):
    """Whether all its pods are ready."""
    return all(status["ready"] for status in release.statuses())


def arguments(release):
    """The arguments of its newest pod."""
    return release.staying_pods()[0]["spec"]["containers"][0]["args"]
