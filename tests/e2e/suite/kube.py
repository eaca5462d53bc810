"""kubectl and helm, the driver's and Latchkey's releases, and what the node knows of their containers."""

import json
import os
import pathlib
import re
import signal
import subprocess

from .aws import ENDPOINT, REGION
from .tools import Failed, expect, run, until

SYSTEM = "kube-system"
# How old a value may be that Latchkey gives out, in seconds.
POLL_INTERVAL = 5
# How often the kubelet calls the driver for a pod, in seconds: syncFrequency and up to half of it more.
REPUBLISH_PERIOD = 7.5
# When a new value must have arrived at the latest in any case, also while other cases keep the machine busy.
ROTATES_WITHIN = 45
SOCKETS = pathlib.Path("/run/secrets-store-csi-providers")
SOCKET = SOCKETS / "aws.sock"
ROOT = pathlib.Path(__file__).resolve().parents[3]
# cluster/enter sets it: the folder of this run.
LOGS = pathlib.Path(os.environ.get("HOME", "")) / "logs"


def kubectl(*arguments, given=None, within=120, check=True):
    """Runs kubectl and gives what it prints."""
    return run("kubectl", *arguments, given=given, within=within, check=check)


def get(kind, name=None, namespace=None, selector=None):
    """An object, or the objects of a kind."""
    command = ["get", kind, "--output=json"]
    command += [name] if name else []
    command += [f"--namespace={namespace}"] if namespace else ["--all-namespaces"] if not name else []
    command += [f"--selector={selector}"] if selector else []
    found = json.loads(kubectl(*command))
    return found if name else found["items"]


def create(*objects):
    """Creates objects, in order; an unknown field is an error."""
    everything = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    kubectl("create", "--validate=strict", "--filename=-", given=json.dumps(everything))


def helm(*arguments, check=True):
    """Runs helm in the system's namespace."""
    return run("helm", *arguments, f"--namespace={SYSTEM}", check=check)


def install_driver(chart, poll):
    """Installs or changes the driver, with rotation and both audiences, and waits until the kubelet knows it."""
    helm(
        "upgrade", "--install", "csi", chart,
        "--set=enableSecretRotation=true,syncSecret.enabled=true", f"--set=rotationPollInterval={poll}",
        "--set=tokenRequests[0].audience=sts.amazonaws.com,tokenRequests[1].audience=pods.eks.amazonaws.com",
    )
    rolled_out("csi-secrets-store-csi-driver")
    # The kubelet knows it some seconds after its pod is ready.
    driver = "secrets-store.csi.k8s.io"
    until("the driver is registered", lambda: driver in json.dumps(get("csinode", "node1")["spec"]), 60)


def rolled_out(daemon_set):
    """Waits until the newest pods of a DaemonSet are ready."""
    kubectl("rollout", "status", f"--namespace={SYSTEM}", f"daemonset/{daemon_set}", "--timeout=90s")


class Release:
    """A release of Latchkey's chart."""

    def __init__(self, name="latchkey", socket=SOCKET, *values):
        self.name, self.socket = name, socket
        self.values = [
            *values,
            f"--set=endpointUrl=http://{ENDPOINT}",
            f"--set=socketName={socket.name}",
            f"--set=rotationPollInterval={POLL_INTERVAL}s",
        ]

    def install(self, writer, *values):
        """Installs or upgrades it with these values beside the usual ones, and waits until it serves.
        The writer of the files is "driver" or "provider"."""
        self.install_without_waiting(writer, *values)
        self.ready()

    def install_without_waiting(self, writer, *values):
        """Installs or upgrades it."""
        values = [f"driverWritesSecrets={str(writer == 'driver').lower()}", *values]
        own = [f"--set={value}" for value in values]
        helm("upgrade", "--install", self.name, str(ROOT / "charts/latchkey"), *self.values, *own)

    def ready(self):
        """Waits until the newest pod is ready and its socket is there."""
        rolled_out(self.full_name)
        until(f"{self.socket} is there", self.socket.is_socket, 10)

    def uninstall(self):
        """Removes it and waits until its pods have gone."""
        helm("uninstall", self.name, "--wait", check=False)
        until("Latchkey's pods have gone", lambda: not self.pods(), 90)

    @property
    def full_name(self):
        """What the chart calls its objects."""
        return self.name if "latchkey" in self.name else f"{self.name}-latchkey"

    def pods(self):
        """Its pods."""
        return get("pods", namespace=SYSTEM, selector=f"app.kubernetes.io/instance={self.name}")

    def staying_pods(self):
        """Its pods without those that are being deleted."""
        return [pod for pod in self.pods() if not pod["metadata"].get("deletionTimestamp")]

    def container(self):
        """The id of the running container; it has one pod when nothing is being rolled out."""
        ids = [status["containerID"] for status in self.statuses() if "running" in status["state"]]
        if len(ids) != 1:
            raise Failed(f"not one running container: {ids}")
        return ids[0].removeprefix("containerd://")

    def kill(self):
        """SIGKILL to the running container's process."""
        ctr("tasks", "kill", "--signal=SIGKILL", self.container())

    def restarts(self):
        """How often its containers were started again."""
        return sum(status["restartCount"] for status in self.statuses())

    def statuses(self):
        """The states of its containers."""
        return [status for pod in self.staying_pods() for status in pod["status"].get("containerStatuses", [])]

    def process(self):
        """The process id on the node."""
        return process_of(self.container())

    def log(self):
        """What its pods have logged."""
        selector = f"app.kubernetes.io/instance={self.name}"
        return kubectl("logs", f"--namespace={SYSTEM}", f"--selector={selector}", "--tail=-1")


def ctr(*arguments):
    """Runs containerd's client in the kubelet's namespace."""
    return run("ctr", "--namespace=k8s.io", *arguments)


def process_of(container):
    """The process id of a container's first process."""
    line = re.search(rf"^{container}\s+(\d+)", ctr("tasks", "list"), re.MULTILINE)
    expect(line, f"no task {container}")
    return int(line.group(1))


class ApiServer:
    """The cluster's API server, to be without it for a while."""

    @staticmethod
    def stop():
        """Kills it."""
        run("pkill", "-KILL", "-x", "kube-apiserver")

    @staticmethod
    def start():
        """Starts it again and waits until it answers."""
        program = str(ROOT / "tests/e2e/cluster/parts/api-server")
        subprocess.Popen([program], start_new_session=True, stdin=subprocess.DEVNULL)
        until("the API server answers", lambda: kubectl("get", "--raw", "/readyz", check=False) == "ok", 60)


class Ascp:
    """AWS's own provider, by its own chart, with the emulator as its AWS."""

    def __init__(self, chart):
        self.chart = chart
        self.daemon_set = "aws-secrets-store-csi-driver-provider-aws"

    def install(self):
        """Installs it beside the driver that is there, and waits until it serves."""
        helm("install", "aws", self.chart, f"--set=secrets-store-csi-driver.install=false,awsRegion={REGION}")
        # Its chart has no value for an endpoint.
        kubectl("set", "env", f"--namespace={SYSTEM}", f"daemonset/{self.daemon_set}",
                f"AWS_ENDPOINT_URL=http://{ENDPOINT}")
        rolled_out(self.daemon_set)
        until("its socket is there", SOCKET.is_socket, 20)

    def uninstall(self):
        """Removes it and waits until its pods have gone."""
        helm("uninstall", "aws", "--wait", check=False)


class PlainProvider:
    """The stand-in for AWS's own provider, as a process on the node."""

    def __init__(self, program, log):
        self.program, self.log, self.process = program, log, None

    def start(self, socket=SOCKET):
        """Starts it and waits for its socket, which may take another's place."""
        def inode():
            return socket.stat().st_ino if socket.is_socket() else None
        before = inode()
        with self.log.open("a") as log:
            self.process = subprocess.Popen([self.program, f"-socket={socket}"], stdout=log, stderr=log)
        until("the stand-in serves", lambda: inode() not in (None, before), 10)

    def stop(self):
        """Ends it as Kubernetes would; it deletes its socket, whosever that is."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
