"""What an operator sees: metrics, status, events, and the alert for a failure that the driver hides."""

import json
import re
from contextlib import nullcontext

from . import kube
from .aws import role
from .cases import ALONE, case
from .kube import ROTATES_WITHIN, SOCKETS, Release
from .prometheus import LABELS, Prometheus, rendered, scrape, target, total
from .refusing import READ
from .tools import Stopwatch, expect, has, same, until

MASKED = "LatchkeyRotationMasked"
# The alert looks back five minutes. Here it looks back a little longer than the time between two republishes.
WINDOW = "10s"
VALUE = "Never-Shown-2719"
TAINT = "latchkey.example.com/not-ready"


@case(company=ALONE)
def operator_sees_a_pod(t, ns):
    """The pod's address and port 8989 answer with metrics, and a mount is counted. `latchkey status` names service
    account, role and secret. No value is in either."""
    t.aws.put_secret(ns.secret(), VALUE)
    ns.password()
    provider = t.latchkey.staying_pods()[0]
    address = target(provider, "http")
    same(address.rpartition(":")[2], "8989", "the port named http")
    def mounted():
        return total(scrape(address), "latchkey_mounts_total", result="mounted", reason="none")
    before = mounted()
    pod = ns.pod().ready()
    same(pod.read(), VALUE, "the file")
    # Two scrapes within a second get the same answer.
    until(f"latchkey_mounts_total is more than {before}", lambda: mounted() > before, 5)
    metrics = scrape(address)
    expect(total(metrics, "latchkey_pods", state="fresh") >= 1, "no volume is fresh")
    same(total(metrics, "latchkey_socket", state="ours"), 1, "the state of the socket")
    t.note(f"{len(metrics)} series")

    status = status_of(provider)
    has(status, f"{ns.name}/irsa", ns.secret())
    everything = status_of(provider, "--output=json")
    has(everything, role(ns.name), ns.secret())
    shown = {"status": status, "JSON": everything, "metrics": str(metrics), "log": t.latchkey.log()}
    same([where for where, text in shown.items() if VALUE in text], [], "where the value is shown")


@case()
def masked_rotation_failure_is_seen(t, ns):
    """A running pod loses the permission. Kubelet hears "mounted"; the driver's and Latchkey's metrics, an event on
    the pod and the chart's alert say otherwise. All of them say when it has passed."""
    watched = Release("watched", SOCKETS / "watched.sock")
    watched.install("driver", "podEvents.enabled=true")
    driver = kube.get("pods", namespace=kube.SYSTEM, selector="app=secrets-store-csi-driver")[0]
    addresses = {"latchkey": target(watched.staying_pods()[0], "http"), "driver": target(driver, "metrics")}
    ns.password(provider="watched")
    pod = ns.pod().ready()
    uid = pod.uid()
    def failing():
        return total(scrape(addresses["latchkey"]), "latchkey_pods", state="failing")
    def masked():
        return total(scrape(addresses["driver"]), "rotation_reconcile_error_total", provider="watched") or 0
    same((failing(), masked()), (0, 0), "failures while all is well")

    with prometheus(t, addresses) as monitoring:
        t.aws.policy("deny", ns.name, READ, ns.secret())
        watch = Stopwatch()
        until("Latchkey counts the pod as failing", lambda: failing() == 1, ROTATES_WITHIN)
        until("the driver has counted two failures", lambda: masked() >= 2, ROTATES_WITHIN)
        event = until("the event SecretAccessLost", lambda: events(pod, "SecretAccessLost"), 20)
        t.note(f"after {watch():.1f} s: {event}")
        has(event, "class", READ, ns.secret(), "denied")
        if monitoring:
            halves = until_both_halves_answer(monitoring)
            same(halves, [[LABELS], [LABELS]], "whom both halves of the alert name")
            fires = until("the alert fires", lambda: monitoring.firing(MASKED), 20)
            same([one | LABELS for one in fires], fires, "the node of the alert")
            same(len(fires), 1, "alerts")
            t.note(f"{MASKED} fires {watch():.1f} s after the permission was lost")
        # What kubelet knows: a healthy pod.
        same(pod.mount_failures(), [], "FailedMount events")
        pod.ready(within=1)
        same(pod.read(), "first", "the file of the running pod")

        t.aws.policy("allow", ns.name, READ, ns.secret())
        watch = Stopwatch()
        until("Latchkey counts no pod as failing", lambda: failing() == 0, ROTATES_WITHIN)
        until("the event SecretRecovered", lambda: events(pod, "SecretRecovered"), 20)
        if monitoring:
            until("the alert no longer fires", lambda: not monitoring.firing(MASKED), 40)
            t.note(f"it stops {watch():.1f} s after the permission was given")
    pod.untouched_since(uid)
    # In this order: the driver waits for a provider that has gone.
    pod.delete()
    watched.uninstall()


@case(company=ALONE)
def startup_taint_is_removed(t, ns):
    """A node with the startup taint takes no pod. Once Latchkey serves, the taint is gone and the pod starts; another
    taint stays."""
    other = "e2e.example.com/kept"
    tainted = Release("tainted", SOCKETS / "tainted.sock")
    ns.password(provider="tainted")
    kube.kubectl("taint", "nodes", "node1", f"{TAINT}=:NoSchedule", f"{other}=:PreferNoSchedule")
    try:
        pod = ns.pod()
        until("the pod waits for a node", lambda: "untolerated taint" in json.dumps(pod.state()["status"]), 20)
        watch = Stopwatch()
        tainted.install("driver", f"startupTaint={TAINT}")
        until("the startup taint is gone", lambda: taints() == [other], 20)
        t.note(f"gone {watch():.1f} s after the installation began")
        pod.ready()
    finally:
        kube.kubectl("taint", "nodes", "node1", f"{TAINT}-", check=False)
        kube.kubectl("taint", "nodes", "node1", f"{other}-", check=False)
    pod.delete()
    tainted.uninstall()


def status_of(provider, *arguments):
    """What `latchkey status` prints in the provider's pod."""
    return kube.kubectl("exec", f"--namespace={kube.SYSTEM}", provider["metadata"]["name"], "--",
                        "/latchkey", "status", *arguments)


def events(pod, reason):
    """What kubectl shows of a pod's events with this reason."""
    return kube.kubectl("get", "events", f"--namespace={pod.namespace}", "--no-headers", "--field-selector",
                        f"involvedObject.kind=Pod,involvedObject.name={pod.name},reason={reason}").strip()


def taints():
    """The keys of the node's taints."""
    return [taint["key"] for taint in kube.get("node", "node1")["spec"].get("taints", [])]


def prometheus(t, addresses):
    """A Prometheus with the chart's rules, which keeps of the driver what the chart's monitor keeps; or nothing."""
    if not t.prometheus:
        t.note("SKIPPED: the alert, because Prometheus cannot be had")
        return nullcontext()
    alert = f"prometheusRule.alerts.{MASKED}"
    rules = rendered("prometheusrule", "prometheusRule.enabled=true", f"{alert}.for=0s", "socketName=watched.sock")
    monitor = rendered("podmonitor", "driverPodMonitor.enabled=true")
    kept = re.search(r"regex: (.+)", monitor).group(1)
    keep = {"source_labels": ["__name__"], "regex": kept, "action": "keep"}
    targets = {"latchkey": (addresses["latchkey"], []), "driver": (addresses["driver"], [keep])}
    return Prometheus(t.prometheus, rules.replace("[5m]", f"[{WINDOW}]"), targets)


def until_both_halves_answer(monitoring):
    """The alert is true for Latchkey's metric or the driver's. Gives the labels of each half."""
    groups = monitoring.get("rules")["groups"]
    rule = next(rule for group in groups for rule in group["rules"] if rule["name"] == MASKED)
    halves = re.split(r"\bor on ?\(.+?\)", rule["query"])
    same(len(halves), 2, f"the halves of {rule['query']}")
    def answers():
        found = [monitoring.query(half) for half in halves]
        return all(found) and found
    return [[labels for labels, _ in half] for half in until("both halves answer", answers, 30)]
