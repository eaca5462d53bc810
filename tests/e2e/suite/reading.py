"""Pods read their secrets as themselves, and see new values."""

import base64
import statistics
import subprocess
import time

from . import kube
from .cases import ALONE, DRIVER_WRITES, PROVIDER_WRITES, case
from .kube import ROTATES_WITHIN
from .pods import MOUNT, Pod, host, password
from .tools import expect, has, now_ms, same, until


@case()
def irsa_pod_reads_both_services(t, ns):
    """An annotated ServiceAccount's real projected token buys its role; nothing else does."""
    ns.secret_class("class", [password(ns.name), host(ns.name)])
    pod = ns.pod(reads=["password", "host"]).ready()
    same(pod.read("password"), "first", "the secret in the pod")
    same(pod.read("host"), "db.example", "the parameter in the pod")
    driver = kube.get("csidriver", "secrets-store.csi.k8s.io")["spec"]
    where = "secrets" if driver.get("serviceAccountTokenInSecrets") else "attributes"
    t.note(f"tokens come in the mount request's {where}")
    subject = f"system:serviceaccount:{ns.name}:irsa"
    given = [(call["principal"], call["status"]) for call in t.aws.calls("AssumeRoleWithWebIdentity", ns.name)]
    same(given, [(subject, 200)], "what STS was asked")
    read = t.aws.calls("GetSecretValue", ns.name)[-1]
    same(read["region"], "eu-central-1", "the Region, which only the node's label says")
    has(read["principal"], f"assumed-role/{ns.name}/")

    # The emulator looks at signatures as STS does: the same token, bent in one place, is refused.
    token = kube.kubectl("create", "token", "irsa", f"--namespace={ns.name}", "--audience=sts.amazonaws.com").strip()
    same(t.aws.assume_with(token, ns.name)[0], 200, "STS's answer to the token")
    signed, _, signature = token.rpartition(".")
    bent = f"{signed}.{signature[:20]}{'A' if signature[20] != 'A' else 'B'}{signature[21:]}"
    has(t.aws.assume_with(bent, ns.name)[1], "InvalidIdentityToken")


@case()
def pod_identity_pod_reads_both_services(t, ns):
    """The agent, asked with the pod's own token, gives the associated role."""
    ns.secret_class("class", [password(ns.name), host(ns.name)], usePodIdentity="true")
    pod = ns.pod(account="pod-identity", reads=["password", "host"]).ready()
    same(pod.read("password"), "first", "the secret in the pod")
    same(pod.read("host"), "db.example", "the parameter in the pod")
    asked = t.aws.calls("PodIdentityCredentials", ns.name)
    same(asked[0]["principal"], f"system:serviceaccount:{ns.name}:pod-identity", "whom the agent was asked for")
    same(t.aws.calls("AssumeRoleWithWebIdentity", ns.name), [], "calls to STS")
    has(t.aws.calls("GetSecretValue", ns.name)[-1]["principal"], f"assumed-role/{ns.name}/eks-e2e-")


@case(DRIVER_WRITES, PROVIDER_WRITES, company=ALONE)
def created_pod_reads_its_file(t, ns):
    """From the creation of a pod to its first read, one pod after the other, one new file set each."""
    ns.password()
    for number in range(7):
        pod = ns.pod(f"app-{number}")
        pod.ready()
        t.figure(f"pod created → file read, {t.writer} writes (s)", (pod.first("first") - pod.created) / 1000)


@case(DRIVER_WRITES, PROVIDER_WRITES)
def rotation_reaches_the_pod(t, ns):
    """A new value is in the running pod, whole, and the pod is the same."""
    ns.password()
    pod = ns.pod().ready()
    uid = pod.uid()
    texts = ["first"]
    for number in range(4):
        texts.append(f"value-{number}")
        t.aws.put_secret(ns.secret(), texts[-1])
        changed = now_ms()
        seconds = (pod.first(texts[-1], within=ROTATES_WITHIN) - changed) / 1000
        t.figure(f"value changed → in the pod, {t.writer} writes (s)", seconds)
    same([one.text.strip('"') for one in pod.saw("password")], texts, "what the pod saw, in order")
    pod.untouched_since(uid)
    statuses = kube.get("secretproviderclasspodstatus", f"{pod.name}-{ns.name}-class", ns.name)
    same([one["id"] for one in statuses["status"]["objects"]], ["password"], "the objects in the pod's status")


@case()
def rotation_is_waited_for(t, ns):
    """`latchkey rotation --wait` returns when the last pod has the new version. A container with subPath never sees
    it: the pod is named when the time is over, and waited for until it is replaced."""
    def waiting(version, timeout):
        command = [t.aws.program, "rotation", ns.secret(), f"--namespace={ns.name}", "--wait",
                   f"--timeout={timeout}s", f"--version={version}"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    ns.password()
    pods = [pod.ready() for pod in ns.pods(["one", "two"])]
    version = t.aws.put_secret(ns.secret(), "second")
    changed = now_ms()
    wait = waiting(version, ROTATES_WITHIN)
    said = wait.communicate(timeout=2 * ROTATES_WITHIN)[0]
    t.figure("value changed → rotation --wait returns (s)", (now_ms() - changed) / 1000)
    same(wait.returncode, 0, f"the exit code of rotation --wait, which said: {said}")
    has(said, "All 2 running pods", version)
    same([pod.read() for pod in pods], ["second", "second"], "what the pods hold when it returns")

    manifest = ns.pod_manifest("held", "class", "irsa", ["password"], "200ms")
    mount = manifest["spec"]["containers"][0]["volumeMounts"][0]
    mount.update(mountPath=f"{MOUNT}/password", subPath="password")
    kube.create(manifest)
    held = Pod(ns.name, "held").ready()
    version = t.aws.put_secret(ns.secret(), "third")
    for pod in pods:
        pod.first("third", within=ROTATES_WITHIN)
    wait = waiting(version, ROTATES_WITHIN)
    said = wait.communicate(timeout=2 * ROTATES_WITHIN)[0]
    same(wait.returncode, 1, f"the exit code when the time is over; it said: {said}")
    has(said, f"1 pod still waits after {ROTATES_WITHIN}s: {ns.name}/held", "container app mounts subPath password")
    same(held.read(), "second", "what the container with subPath reads")

    wait = waiting(version, 120)
    time.sleep(2)
    same(wait.poll(), None, "the exit code while the pod is held back")
    held.delete()
    said = wait.communicate(timeout=150)[0]
    same(wait.returncode, 0, f"the exit code once the pod is gone; it said: {said}")


@case()
def current_beside_previous(t, ns):
    """AWSCURRENT and AWSPREVIOUS of one secret, and both move on with a rotation."""
    t.aws.put_secret(ns.secret(), "second")
    previous = {**password(ns.name), "objectAlias": "previous", "objectVersionLabel": "AWSPREVIOUS"}
    ns.secret_class("class", [password(ns.name), previous])
    pod = ns.pod(reads=["password", "previous"]).ready()
    same(pod.read("password"), "second", "the current value")
    same(pod.read("previous"), "first", "the previous value")
    t.aws.put_secret(ns.secret(), "third")
    pod.first("third", within=ROTATES_WITHIN)
    pod.first("second", file="previous", within=20)
    same(pod.read("password"), "third", "the current value after a rotation")
    same(pod.read("previous"), "second", "the previous value after a rotation")


@case()
def synced_secret_follows(t, ns):
    """A Kubernetes Secret that the driver makes of the mount follows a rotation."""
    ns.password(secret_objects=[{
        "secretName": "synced", "type": "Opaque", "data": [{"objectName": "password", "key": "token"}]}])
    ns.pod().ready()
    def synced(text):
        data = kube.get("secrets", namespace=ns.name)
        found = [one["data"]["token"] for one in data if one["metadata"]["name"] == "synced"]
        # A failure here is what `until` saw last.
        same(found, [base64.b64encode(text.encode()).decode()], "the token in the Secret")
        return True
    until("the Secret holds the value", lambda: synced("first"), 30)
    t.aws.put_secret(ns.secret(), "second")
    changed = now_ms()
    until("the Secret holds the new value", lambda: synced("second"), ROTATES_WITHIN + 15, every=0.3)
    t.note(f"the Secret followed after {(now_ms() - changed) / 1000:.1f} s")


@case(company=ALONE)
def thirty_pods_at_once(t, ns):
    """A node's worth of pods: all ready, and the median of them soon."""
    ns.password()
    pods = ns.pods([f"app-{number}" for number in range(30)])
    waits = [(pod.first("first", within=120) - pod.created) / 1000 for pod in pods]
    calls = {name: len(t.aws.calls(name, ns.name)) for name in ("AssumeRoleWithWebIdentity", "GetSecretValue")}
    middle = statistics.median(waits)
    t.note(f"read after {min(waits):.1f} to {max(waits):.1f} s, median {middle:.1f} s; AWS calls {calls}")
    same([text for pod in pods for text in pod.mount_failures()], [], "failed mounts")


@case()
def recreated_pod_reads_the_newest(t, ns):
    """A pod of the same name, deleted and created again after a rotation, has the new value, at once or soon."""
    ns.password()
    first = ns.pod().ready()
    first.delete()
    t.aws.put_secret(ns.secret(), "second")
    again = ns.pod().ready()
    texts = {one.text.strip('"') for one in again.saw("password")}
    expect(texts <= {"first", "second"}, f"the new pod saw {texts}")
    again.first("second", within=ROTATES_WITHIN)
    again.delete()
