"""What a case creates: a namespace with service accounts, classes and pods, and how it looks at them."""

import json
import pathlib
import re
from dataclasses import dataclass

from . import kube
from .aws import role
from .tools import now_ms, same, until

DRIVER = "secrets-store.csi.k8s.io"
MOUNT = "/mnt/secrets"
POD_LOGS = pathlib.Path("/var/log/pods")


@dataclass
class Seen:
    """One thing that the reader in a pod saw for the first time."""

    ms: int
    reads: int
    file: str
    text: str


class Namespace:
    """A case's own namespace. The role, secrets and parameters of the emulator carry its name."""

    def __init__(self, name):
        self.name = name
        metadata = {"namespace": name}
        annotations = {"eks.amazonaws.com/role-arn": role(name)}
        kube.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
            service_account({**metadata, "name": "irsa", "annotations": annotations}),
            service_account({**metadata, "name": "pod-identity"}),
            service_account({**metadata, "name": "unread-pod-identity"}),
        )

    def delete(self):
        """Deletes the namespace; waits for its pods only, so that the next case has the node to itself."""
        kube.kubectl("delete", "pods", "--all", f"--namespace={self.name}", "--timeout=90s", check=False)
        kube.kubectl("delete", "namespace", self.name, "--wait=false", check=False)

    def record(self):
        """Writes what is in it into the logs, for a case that failed."""
        text = "".join(
            f"--- {command}\n" + kube.kubectl(*command.split(), f"--namespace={self.name}", check=False)
            for command in ("get events --sort-by=.lastTimestamp", "get pods --output=yaml",
                            "get secretproviderclasses,secretproviderclasspodstatuses --output=yaml"))
        readers = "".join(f"--- {log}\n{log.read_text()}" for log in POD_LOGS.glob(f"{self.name}_*/app/*.log"))
        (kube.LOGS / f"case-{self.name}.log").write_text(text + readers)

    def secret(self, name="password"):
        """The name of one of its secrets."""
        return f"{self.name}/{name}"

    def secret_class(self, name, objects, provider="aws", secret_objects=None, **parameters):
        """Creates a SecretProviderClass."""
        parameters["objects"] = json.dumps(objects)
        spec = {"provider": provider, "parameters": parameters}
        if secret_objects:
            spec["secretObjects"] = secret_objects
        kube.create({
            "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
            "metadata": {"name": name, "namespace": self.name}, "spec": spec,
        })

    def password(self, name="class", **more):
        """A class with the password as its only file."""
        self.secret_class(name, [password(self.name)], **more)

    def pod(self, name="app", of="class", account="irsa", reads=("password",), pause="20ms"):
        """Creates a pod that reads files of its mount all the time; gives it without waiting."""
        pod = Pod(self.name, name)
        kube.create(self.pod_manifest(name, of, account, reads, pause))
        return pod

    def pods(self, names, of="class", account="irsa"):
        """Creates many pods at once."""
        pods = [Pod(self.name, name) for name in names]
        kube.create(*(self.pod_manifest(name, of, account, ["password"], "200ms") for name in names))
        return pods

    def pod_manifest(self, name, of, account, reads, pause):
        """A pod with the reader."""
        files = [f"{MOUNT}/{file}" for file in reads]
        return {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": self.name},
            "spec": {
                "serviceAccountName": account, "terminationGracePeriodSeconds": 5,
                "containers": [{
                    "name": "app", "image": "localhost/app:1",
                    "command": ["/bin/reader", f"-pause={pause}", *files],
                    "volumeMounts": [{"name": "secrets", "mountPath": MOUNT, "readOnly": True}],
                }],
                "volumes": [{"name": "secrets", "csi": {
                    "driver": DRIVER, "readOnly": True, "volumeAttributes": {"secretProviderClass": of}}}],
            },
        }


class Pod:
    """A pod of a case, made just before it is created."""

    def __init__(self, namespace, name):
        self.namespace, self.name = namespace, name
        self.created = now_ms()

    def state(self):
        """The pod as the API server has it."""
        return kube.get("pod", self.name, self.namespace)

    def ready(self, within=130):
        """Waits until it is ready. After a time without a provider the driver itself waits before it connects again,
        the longer the longer that time was, and the kubelet gives a mount two minutes."""
        kube.kubectl(
            "wait", "--for=condition=Ready", f"pod/{self.name}", f"--namespace={self.namespace}",
            f"--timeout={within}s", within=within + 20,
        )
        return self

    def run(self, *command):
        """Runs a command in it."""
        return kube.kubectl("exec", f"--namespace={self.namespace}", self.name, "--", *command)

    def read(self, file="password"):
        """A mounted file's text, read inside the pod."""
        return self.run("cat", f"{MOUNT}/{file}")

    def saw(self, file=None):
        """What its reader has seen so far, from the log on the node's disk: works without the API server."""
        folders = POD_LOGS.glob(f"{self.namespace}_{self.name}_*/app/*.log")
        lines = [line for log in sorted(folders) for line in log.read_text().splitlines()]
        found = [re.match(r"\S+ \S+ \S+ (\d+) (\d+) (\S+) ?(.*)$", line) for line in lines]
        seen = [Seen(int(ms), int(reads), path.rpartition("/")[2], text)
                for ms, reads, path, text in (match.groups() for match in found if match)]
        return [one for one in seen if file in (None, one.file)]

    def first(self, text, file="password", within=60):
        """Waits until the reader has seen this text in a file, and gives when it first did, in milliseconds."""
        quoted = json.dumps(text)
        def find():
            return next((one.ms for one in self.saw(file) if one.text == quoted), None)
        return until(f"{self.name} reads {text!r}", find, within, every=0.05)

    def mount_failures(self):
        """The texts of its FailedMount events."""
        events = kube.get("events", namespace=self.namespace)
        return [event["message"] for event in events
                if event["involvedObject"].get("name") == self.name and event["reason"] == "FailedMount"]

    def mount_failure(self, *parts, within=60):
        """Waits for a FailedMount event with all these parts in it, and gives its text."""
        def find():
            return next((text for text in self.mount_failures() if all(part in text for part in parts)), None)
        try:
            return until("such an event", find, within, every=0.3)
        except AssertionError as failure:
            raise AssertionError(f"{failure}; events: {self.mount_failures()}; looked for {parts}") from None

    def untouched_since(self, uid):
        """Fails if the pod or its container was made anew."""
        state = self.state()
        same(state["metadata"]["uid"], uid, f"the uid of {self.name}")
        restarts = sum(status["restartCount"] for status in state["status"]["containerStatuses"])
        same(restarts, 0, f"restarts of {self.name}")

    def uid(self):
        """Its uid."""
        return self.state()["metadata"]["uid"]

    def delete(self, wait=True):
        """Deletes it."""
        kube.kubectl("delete", "pod", self.name, f"--namespace={self.namespace}", f"--wait={str(wait).lower()}",
                     "--timeout=60s")


def service_account(metadata):
    """A ServiceAccount."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def password(case):
    """An object: the case's password."""
    return {"objectName": f"{case}/password", "objectType": "secretsmanager", "objectAlias": "password"}


def host(case):
    """An object: the case's parameter."""
    return {"objectName": f"/e2e/{case}/host", "objectType": "ssmparameter", "objectAlias": "host"}
