"""Runs the cases inside the cluster: starts AWS, installs driver and provider, tests, prints the figures.

usage: python3 -m suite --state FOLDER --began SECONDS [--only=TEXT]...    or    --list
"""

import argparse
import pathlib
import statistics
import sys
import time

from . import examples, kube, living, moving, outages, reading, refusing  # noqa: F401 # they register their cases
from .aws import Aws
from .cases import MODES, Cluster, chosen, run_case
from .pods import Namespace
from .tools import Stopwatch

# In this order: where the driver writes, where the provider does, what changes the driver.
ORDER = ["driver", "", "provider", "last"]
LAST = "provider-down-for-130-seconds"
# What must hold, in seconds: (figure, which of its values, bar).
BARS = [
    ("up: built programs → Ready node, driver, provider (s)", max, 90),
    ("pod created → file read, driver writes (s)", statistics.median, 3),
    ("pod created → file read, provider writes (s)", statistics.median, 3),
]


def main():
    """Runs the chosen cases; exits with 1 when one failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state")
    parser.add_argument("--began", type=float)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    cases = sorted(chosen(arguments.only), key=lambda one: ORDER.index("last" if one.name == LAST else one.mode))
    if arguments.list:
        print(*(one.name for one in cases), sep="\n")
        return
    sys.exit(0 if run_all(cases, arguments) else 1)


def run_all(cases, arguments):
    """Runs the cases and prints the figures; gives whether all passed."""
    state = pathlib.Path(arguments.state)
    watch = Stopwatch()
    cluster = set_up(cases, state, arguments.began)
    passed = 0
    mode = "driver"
    for one in cases:
        wanted = one.mode or "driver"
        if wanted != mode:
            cluster.latchkey.install(MODES[wanted])
            mode = wanted
        cluster.mode = mode
        well = run_case(one, cluster, Namespace)
        passed += well
        if not well:
            # Whatever it left half done must not fail the next ones too.
            restore(cluster, mode)
    too_slow = print_figures(cluster.figures)
    failed = len(cases) - passed + too_slow
    print(f"{len(cases)} cases in {watch():.0f} s")
    (state / "verdict").write_text(f"{passed} passed, {failed} failed\n")
    keep_logs(state, cluster)
    return failed == 0


def set_up(cases, state, began):
    """AWS, the driver and Latchkey, by their own charts."""
    root = kube.ROOT
    cache = state.parent
    driver = next(cache.glob("driver-v*"))
    issuer = "https://kubernetes.default.svc.cluster.local"
    aws = Aws(str(cache / "emulator"), str(state), issuer, [one.name for one in cases])
    aws.start()
    cluster = Cluster(
        aws=aws,
        latchkey=kube.Release(),
        driver_chart=str(driver / "chart"),
        plain_provider=kube.PlainProvider(str(driver / "plain-provider"), state / "logs" / "plain-provider.log"),
    )
    kube.install_driver(cluster.driver_chart)
    cluster.latchkey.install(MODES["driver"])
    cluster.figure(BARS[0][0], time.time() - began)
    print(f"up: node, driver, provider from {root.name or root} after {time.time() - began:.1f} s", flush=True)
    return cluster


def restore(cluster, mode):
    """Everything as a case may expect it."""
    try:
        if cluster.aws.process.poll() is not None:
            cluster.aws.start()
        if cluster.plain_provider.process and cluster.plain_provider.process.poll() is None:
            cluster.plain_provider.stop()
        if kube.kubectl("get", "--raw", "/readyz", check=False) != "ok":
            kube.ApiServer.start()
        cluster.latchkey.install(MODES[mode])
    except AssertionError as failure:
        print(f"           and the cluster was not put back: {failure}", flush=True)


def print_figures(figures):
    """Prints each figure; gives how many are beyond their bar."""
    bars = {name: (which, bar) for name, which, bar in BARS}
    beyond = 0
    print("figures:")
    for name, values in figures.items():
        middle = statistics.median(values)
        text = f"{middle:.2f}" if len(values) == 1 else f"median {middle:.2f}, {min(values):.2f} to {max(values):.2f}"
        if name in bars:
            which, bar = bars[name]
            well = which(values) < bar
            beyond += not well
            text += f"; bar {bar}: {'held' if well else 'NOT HELD'}"
        print(f"  {name}: {text} ({len(values)} measured)")
    return beyond


def keep_logs(state, cluster):
    """The logs of driver and provider beside the other components', for a run that failed."""
    for name, label in (("latchkey", "app.kubernetes.io/instance"), ("secrets-store-csi-driver", "app")):
        text = kube.kubectl("logs", "--namespace=kube-system", f"--selector={label}={name}", "--all-containers",
                            "--tail=-1", check=False)
        (state / "logs" / f"{name}.log").write_text(text)
    events = kube.kubectl("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp", check=False)
    (state / "logs" / "events.log").write_text(events)
    cluster.aws.stop()


if __name__ == "__main__":
    main()
