"""`latchkey doctor` finds what is planted, with the fix, and nothing when all is well."""

import datetime
import json
import os
import pathlib
import re
import subprocess

from . import kube
from .aws import role
from .cases import ALONE, case
from .kube import SOCKETS, SYSTEM, Release
from .pods import service_account
from .refusing import READ
from .tools import Failed, expect, has, run, same, until

DRIVER = "secrets-store.csi.k8s.io"
DRIVER_SET = "csi-secrets-store-csi-driver"
KEYS_BINDING = "system:service-account-issuer-discovery"
BOOK = kube.ROOT / "docs/src/doctor.md"
# Nobody has this address.
NOWHERE = "http://10.90.0.99:80"


@case(company=ALONE)
def doctor_finds_nothing_when_healthy(t, ns):
    """With pods of both kinds of identity it finds nothing, not even a note, for a person with the book's ClusterRole
    and nothing else."""
    ns.password()
    ns.password("by-pod-identity", usePodIdentity="true")
    ns.pod().ready()
    ns.pod("other", of="by-pod-identity", account="pod-identity").ready()
    code, findings = doctor(t, f"--namespace={ns.name}", kubeconfig=person(ns))
    same((code, findings), (0, []), "exit code and findings")
    text = run(t.aws.program, "doctor", f"--namespace={ns.name}")
    t.note(text.strip().replace("\n", "\n           "))
    has(text, "nothing found", "ready on 1 of 1 nodes, 1 of them asked", "clocks of 1 of 1 nodes")


@case(company=ALONE)
def doctor_finds_what_pods_lack(t, ns):
    """A missing association, a wrong trust policy, a denied secret, KMS, no route to STS, and AWS's word on a clock:
    each pod's cause, with its fix."""
    unrouted = Release("unrouted", SOCKETS / "unrouted.sock")
    unrouted.install("driver", f"endpointUrls.sts={NOWHERE}")
    annotations = {"eks.amazonaws.com/role-arn": role(ns.name)}
    kube.create(*(service_account({"namespace": ns.name, "name": name, **more}) for name, more in (
        ("stranger", {}), ("untrusted", {"annotations": annotations}))))
    ns.password("by-pod-identity", usePodIdentity="true")
    ns.password("by-irsa")
    ns.secret_class("login", [{"objectName": f"{ns.name}/login", "objectType": "secretsmanager"}])
    ns.secret_class("host", [{"objectName": f"/e2e/{ns.name}/host", "objectType": "ssmparameter"}])
    ns.password("unrouted", provider="unrouted")
    t.aws.policy("deny", ns.name, READ, ns.secret())
    faults = [{"operation": "GetSecretValue", "target": ns.secret("login"), "kind": "kmsDenied"},
              {"operation": "GetParameters", "target": f"/e2e/{ns.name}/host", "kind": "error", "status": 400,
               "code": "InvalidSignatureException", "message": "Signature expired: 1 is now earlier than 2"}]
    for fault in faults:
        t.aws.request("POST", "/_emulator/faults", json.dumps(fault))
    planted = {
        "no-association": ("by-pod-identity", "stranger", "association-missing",
                           f"--namespace {ns.name} --service-account stranger"),
        "no-trust": ("by-irsa", "untrusted", "trust-refused", f"system:serviceaccount:{ns.name}:untrusted"),
        "denied": ("by-irsa", "irsa", "secret-denied", READ),
        "kms": ("login", "irsa", "kms-denied", "kms:Decrypt"),
        "no-route": ("unrouted", "irsa", "sts-unreachable", "VPC endpoint for com.amazonaws.REGION.sts"),
        "clock": ("host", "irsa", "clock-off", "chronyd"),
    }
    pods = {name: ns.pod(name, of=of, account=account) for name, (of, account, _, _) in planted.items()}
    for name, pod in pods.items():
        until(f"an event on {name}", pod.mount_failures, 100, every=0.5)
    code, findings = doctor(t, f"--namespace={ns.name}")
    t.note(json.dumps(findings, indent=1))
    same(code, 1, "the exit code")
    for name, (_, _, rule, fix) in planted.items():
        one = finding(findings, rule, name)
        has(one["fix"], fix)
    same(len(findings), len(planted), f"the number of findings, which are {[one['id'] for one in findings]}")
    code, alone = doctor(t, f"{ns.name}/kms")
    same([one["id"] for one in alone], ["kms-denied"], "the findings about one pod")

    t.aws.request("DELETE", "/_emulator/faults")
    for pod in pods.values():
        pod.delete(wait=False)
    until("the pods have gone", lambda: not kube.get("pods", namespace=ns.name), 90)
    unrouted.uninstall()
    same(doctor(t, f"--namespace={ns.name}"), (0, []), "exit code and findings afterwards")


@case(company=ALONE)
def doctor_finds_what_the_cluster_lacks(t, ns):
    """No audience, rotation off, a wrong socket folder and name, a second provider, unreadable keys, the driver
    missing on a node, and a node's clock: each with its fix, and nothing once it is put right."""
    ns.password()
    ns.pod().ready()
    ns.password("by-pod-identity", usePodIdentity="true")
    ns.pod("other", of="by-pod-identity", account="pod-identity").ready()
    for plant in (no_audience, rotation_off, wrong_socket, second_provider, keys_unreadable, second_node):
        expected, undo = plant(t, ns)
        try:
            for rule, place, fix in expected:
                def found(rule=rule, place=place):
                    findings = doctor(t, f"--namespace={ns.name}")[1]
                    fitting = [one for one in findings
                               if one["id"] == rule and one["object"]["name"] == place]
                    expect(fitting, f"only {json.dumps(findings)}")
                    return fitting[0]
                one = until(f"{rule} at {place}", found, 40, every=1)
                has(one["fix"], fix)
                t.note(f"{rule} at {place}: {one['message']} fix: {one['fix']}")
        finally:
            undo()
        def clean():
            code, findings = doctor(t, f"--namespace={ns.name}")
            if findings or code:
                raise Failed(json.dumps(findings))
            return True
        until(f"nothing is found after {plant.__name__}", clean, 90, every=1)


def no_audience(_t, _ns):
    """The CSIDriver asks for one kind of token only."""
    before = kube.get("csidriver", DRIVER)["spec"]["tokenRequests"]
    patch("csidriver", DRIVER, {"spec": {"tokenRequests": [{"audience": "sts.amazonaws.com"}]}})
    def undo():
        patch("csidriver", DRIVER, {"spec": {"tokenRequests": before}})
    return [("audience-missing", DRIVER, "tokenRequests[1].audience=pods.eks.amazonaws.com")], undo


def rotation_off(_t, _ns):
    """Kubelet does not call again."""
    patch("csidriver", DRIVER, {"spec": {"requiresRepublish": False}})
    def undo():
        patch("csidriver", DRIVER, {"spec": {"requiresRepublish": True}})
    return [("rotation-off", DRIVER, "enableSecretRotation=true")], undo


def wrong_socket(_t, ns):
    """Another Latchkey creates its socket where the driver does not look; a pod's class names it."""
    folder = pathlib.Path("/run/elsewhere")
    elsewhere = Release("elsewhere", folder / "elsewhere.sock", f"--set=providerVolume={folder}")
    elsewhere.install("driver")
    ns.password("elsewhere", provider="elsewhere")
    pod = ns.pod("lost", of="elsewhere")
    until("kubelet's event", pod.mount_failures, 60)
    def undo():
        pod.delete()
        kube.kubectl("delete", "secretproviderclass", "elsewhere", f"--namespace={ns.name}")
        elsewhere.uninstall()
    return [("socket-folder-differs", elsewhere.full_name, "providerVolume=/var/run/secrets-store-csi-providers"),
            ("provider-not-served", "lost", "elsewhere.sock")], undo


def second_provider(t, _ns):
    """Another process takes the socket of a Latchkey, and a DaemonSet looks like AWS's own provider."""
    contested = Release("contested", SOCKETS / "contested.sock")
    contested.install("driver")
    t.plain_provider.start(contested.socket)
    name = "aws-secrets-store-csi-driver-provider-aws"
    labels = {"app": name}
    kube.create({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name, "namespace": SYSTEM},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
            "nodeSelector": {"nowhere": "at-all"},
            "containers": [{"name": "installer", "image": "example/secrets-store-csi-driver-provider-aws:3"}],
            "volumes": [{"name": "providervol", "hostPath": {"path": "/var/run/secrets-store-csi-providers"}}]}}},
    })
    def undo():
        kube.kubectl("delete", "daemonset", name, f"--namespace={SYSTEM}")
        t.plain_provider.stop()
        contested.uninstall()
    pod = contested.staying_pods()[0]["metadata"]["name"]
    return [("second-provider", pod, "Uninstall the other provider"), ("second-provider", name, "side by side")], undo


def keys_unreadable(_t, _ns):
    """Neither the chart nor Kubernetes' own default lets a Latchkey read the keys of the tokens."""
    binding = kube.get("clusterrolebinding", KEYS_BINDING)
    kube.kubectl("delete", "clusterrolebinding", KEYS_BINDING)
    unverified = Release("unverified", SOCKETS / "unverified.sock")
    unverified.install("driver", "rbac.tokenKeys=false")
    def undo():
        for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            binding["metadata"].pop(field, None)
        kube.create(binding)
        unverified.uninstall()
    pod = unverified.staying_pods()[0]["metadata"]["name"]
    return [("keys-unreadable", place, "rbac.tokenKeys=true") for place in (pod, unverified.full_name)], undo


def second_node(_t, _ns):
    """A Node object that stands for a second machine: the driver's nodeSelector keeps the driver away from it, and the
    kubelet that would run there has renewed its lease with a clock that is ten minutes behind."""
    kube.kubectl("label", "node", "node1", "e2e/driver=yes")
    select_nodes({"e2e/driver": "yes"})
    late = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=10)
    kube.create(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node2", "labels": {"kubernetes.io/os": "linux"}}},
        {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
         "metadata": {"name": "node2", "namespace": "kube-node-lease"},
         "spec": {"holderIdentity": "node2", "leaseDurationSeconds": 40,
                  "renewTime": late.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}},
    )
    def undo():
        kube.kubectl("delete", "node", "node2")
        kube.kubectl("delete", "lease", "node2", "--namespace=kube-node-lease", "--ignore-not-found")
        for pod in kube.get("pods", namespace=SYSTEM):
            affinity = json.dumps(pod["spec"].get("affinity", {}))
            if pod["spec"].get("nodeName") == "node2" or '"node2"' in affinity:
                kube.kubectl("delete", "pod", pod["metadata"]["name"], f"--namespace={SYSTEM}", "--force",
                             "--grace-period=0", check=False)
        select_nodes({"e2e/driver": None})
        kube.kubectl("label", "node", "node1", "e2e/driver-")
    return [("driver-missing-on-node", "node2", "linux.nodeSelector"), ("clock-off", "node2", "chronyd")], undo


def select_nodes(labels):
    """The driver runs on these nodes only; waits until it does."""
    patch("daemonset", DRIVER_SET, {"spec": {"template": {"spec": {"nodeSelector": labels}}}}, f"--namespace={SYSTEM}")
    kube.rolled_out(DRIVER_SET)
    until("the driver is registered", lambda: DRIVER in json.dumps(kube.get("csinode", "node1")["spec"]), 60)


def patch(kind, name, change, *more):
    """A merge patch."""
    kube.kubectl("patch", kind, name, "--type=merge", f"--patch={json.dumps(change)}", *more)


def doctor(t, *arguments, kubeconfig=None):
    """Runs the doctor; gives its exit code and what it found."""
    environment = {**os.environ, **({"KUBECONFIG": kubeconfig} if kubeconfig else {})}
    done = subprocess.run([t.aws.program, "doctor", "--output=json", *arguments], capture_output=True, text=True,
                          timeout=120, check=False, env=environment)
    if done.returncode not in (0, 1):
        raise Failed(f"the doctor ended with {done.returncode}: {done.stderr}")
    return done.returncode, json.loads(done.stdout)["findings"]


def finding(findings, rule, name):
    """The finding of a rule about an object."""
    found = [one for one in findings if one["id"] == rule and one["object"]["name"] == name]
    expect(len(found) == 1, f"no {rule} about {name} in {json.dumps(findings)}")
    return found[0]


def person(ns):
    """A kubeconfig for somebody who has the book's ClusterRole and nothing else."""
    block = re.search(r"```yaml\n(apiVersion: rbac.*?)```", BOOK.read_text(), re.DOTALL).group(1)
    kube.kubectl("apply", "--filename=-", given=block)
    kube.create(service_account({"namespace": ns.name, "name": "person"}))
    kube.kubectl("create", "clusterrolebinding", f"doctor-{ns.name}", "--clusterrole=latchkey-doctor",
                 f"--serviceaccount={ns.name}:person")
    token = run("kubectl", "create", "token", "person", f"--namespace={ns.name}").strip()
    config = json.loads(kube.kubectl("config", "view", "--raw", "--output=json"))
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = kube.LOGS.parent / "person.kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)
