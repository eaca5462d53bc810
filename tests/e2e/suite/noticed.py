"""Change notices: `latchkey notices` by the chart, between a queue of the emulated AWS and the pods."""

import contextlib
import json
import math
import statistics
import time

from . import kube
from .aws import NOTICES_QUEUE, NOTICES_ROLE, role
from .cases import ALONE, DRIVER_WRITES, PROVIDER_WRITES, case
from .doctoring import doctor
from .kube import REPUBLISH_PERIOD, SYSTEM
from .tools import expect, now_ms, same, until

NAME = "latchkey-notices"
SELECTOR = f"app.kubernetes.io/name={NAME}"
# Longer than any case: what arrives has not come by polling.
INTERVAL = "30m"
CHANGES = 30
# In seconds: half of the changes and all but one in a hundred are read in the pod sooner, if the provider writes.
HALF, MOST = 2, 5
# A Lease is free after 15 s, and a message that was received is visible again after 30 s.
NEW_LEADER = 50
TOKEN = "/var/run/secrets/eks.amazonaws.com/serviceaccount"


@case(DRIVER_WRITES, PROVIDER_WRITES, company=ALONE)
def noticed_change_reaches_the_pod(t, ns):
    """Each change is read in the pod within seconds, or after the kubelet's next republish if the driver writes,
    although nothing polls; and the doctor finds nothing."""
    with notices(t):
        ns.password()
        pod = ns.pod().ready()
        uid = pod.uid()
        took = []
        for number in range(CHANGES if t.writer == "provider" else 8):
            text = f"value-{number}"
            changed = now_ms()
            t.aws.put_secret(ns.secret(), text)
            took.append((pod.first(text, within=60) - changed) / 1000)
            # Changes do not follow the pace of the leader's writes.
            time.sleep(0.37 * (number % 5))
        pod.untouched_since(uid)
        t.figure(f"value changed → noticed → in the pod, {t.writer} writes (s)", *took)
        half, most = statistics.median(took), sorted(took)[math.ceil(len(took) * 0.99) - 1]
        t.note(f"{len(took)} changes: p50 {half:.2f} s, p99 {most:.2f} s, max {max(took):.2f} s")
        later = 0 if t.writer == "provider" else REPUBLISH_PERIOD
        expect(half < HALF + later, f"p50 is {half:.2f} s")
        expect(most < MOST + later, f"p99 is {most:.2f} s")
        # In the other stage it finds the driver's long interval.
        if t.writer == "driver":
            same(doctor(t, f"--namespace={ns.name}"), (0, []), "the doctor's exit code and findings")


@case(PROVIDER_WRITES, company=ALONE)
def leader_of_notices_goes_in_the_middle(t, ns):
    """The leader's pod is deleted, and later its process killed, while values change: the last value arrives."""
    with notices(t):
        ns.password()
        pod = ns.pod().ready()
        for how, end in (("deleted", delete), ("killed", kill)):
            gone = until("somebody leads", leader, 60)
            began = now_ms()
            for number in range(12):
                text, changed = f"{how}-{number}", now_ms()
                t.aws.put_secret(ns.secret(), text)
                if number == 6:
                    end(gone)
                time.sleep(0.5)
            seconds = (pod.first(text, within=NEW_LEADER) - changed) / 1000
            seen = [one for one in pod.saw("password") if one.ms > began]
            t.note(f"the leader {how}: the last value {seconds:.1f} s after its change, {len(seen)} of 12 values seen")
            rolled_out()


def delete(pod):
    """Deletes a pod, which ends in order."""
    kube.kubectl("delete", "pod", pod, f"--namespace={SYSTEM}", "--wait=false")


def kill(pod):
    """SIGKILL to a pod's process."""
    status = kube.get("pod", pod, SYSTEM)["status"]["containerStatuses"][0]
    kube.ctr("tasks", "kill", "--signal=SIGKILL", status["containerID"].removeprefix("containerd://"))


@contextlib.contextmanager
def notices(t):
    """Latchkey with notices, and without them again."""
    t.latchkey.install_without_waiting(
        t.writer, "notices.enabled=true", f"notices.queueUrls[0]={NOTICES_QUEUE}", f"rotationPollInterval={INTERVAL}",
        f"notices.serviceAccount.annotations.eks\\.amazonaws\\.com/role-arn={role(NOTICES_ROLE)}")
    kube.kubectl("patch", "deployment", NAME, f"--namespace={SYSTEM}", "--type=strategic", f"--patch={identity()}")
    try:
        t.latchkey.ready()
        rolled_out()
        until("somebody leads", leader, 60)
        yield
    except AssertionError:
        text = kube.kubectl("logs", f"--namespace={SYSTEM}", f"--selector={SELECTOR}", "--tail=-1", check=False)
        (kube.LOGS / "latchkey-notices.log").write_text(text)
        raise
    finally:
        t.latchkey.install(t.writer)
        until("the pods of notices have gone", lambda: not kube.get("pods", namespace=SYSTEM, selector=SELECTOR), 90)


def identity():
    """What EKS's webhook adds to a pod whose ServiceAccount has a role."""
    mount = {"name": "aws-iam-token", "mountPath": TOKEN, "readOnly": True}
    token = {"serviceAccountToken": {"audience": "sts.amazonaws.com", "expirationSeconds": 86400, "path": "token"}}
    container = {"name": "notices", "volumeMounts": [mount], "env": [
        {"name": "AWS_ROLE_ARN", "value": role(NOTICES_ROLE)},
        {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": f"{TOKEN}/token"}]}
    volume = {"name": "aws-iam-token", "projected": {"sources": [token]}}
    return json.dumps({"spec": {"template": {"spec": {"containers": [container], "volumes": [volume]}}}})


def leader():
    """The pod that leads."""
    leases = kube.get("leases", namespace=SYSTEM)
    holder = next((one["spec"].get("holderIdentity") for one in leases if one["metadata"]["name"] == NAME), None)
    pods = [pod["metadata"]["name"] for pod in kube.get("pods", namespace=SYSTEM, selector=SELECTOR)]
    return next((name for name in pods if holder and holder.startswith(name)), None)


def rolled_out():
    """Waits until both pods of the Deployment are ready."""
    kube.kubectl("rollout", "status", f"--namespace={SYSTEM}", f"deployment/{NAME}", "--timeout=90s")
