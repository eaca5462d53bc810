"""Runs the cases inside the cluster: starts AWS, installs driver and provider, tests, prints the figures.

usage: python3 -m suite --state FOLDER --driver FOLDER --began SECONDS [--prometheus FOLDER] [--only=TEXT]...
       or    --list
"""

import argparse
import pathlib
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from . import kube
from . import admitting, doctoring, examples, living, moving, outages  # noqa: F401 # they register their cases
from . import noticed, reading, refusing, rotating, seeing  # noqa: F401
from .aws import Aws
from .cases import ALONE, DRIVER_WRITES, STAGES, THROUGHOUT, TOGETHER, Cluster, chosen, run_case
from .kube import POLL_INTERVAL, REPUBLISH_PERIOD
from .pods import Namespace
from .tools import Stopwatch

# How many cases run at once that disturb nobody. They mostly wait.
TOGETHER_AT_ONCE = 5
# What must hold, in seconds: (figure, which of its values, bar).
BARS = [
    ("up: built programs → Ready node, driver, provider (s)", max, 90),
    ("pod created → file read, driver writes (s)", statistics.median, 3),
    ("pod created → file read, provider writes (s)", statistics.median, 3),
    ("value changed → in the pod, driver writes (s)", max, POLL_INTERVAL + REPUBLISH_PERIOD),
    ("value changed → in the pod, provider writes (s)", max, POLL_INTERVAL + 2),
]


def main():
    """Runs the chosen cases; exits with 1 when one failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state")
    parser.add_argument("--driver", type=pathlib.Path)
    parser.add_argument("--began", type=float)
    parser.add_argument("--ascp")
    parser.add_argument("--prometheus")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    cases = chosen(arguments.only, arguments.ascp or arguments.list)
    if not cases:
        parser.error(f"no case has {' or '.join(arguments.only)} in its name; --list names them")
    if arguments.list:
        print(*(one.name for one in cases), sep="\n")
        return
    sys.exit(0 if run_all(cases, arguments) else 1)


def run_all(cases, arguments):
    """Runs the cases and prints the figures; gives whether all passed."""
    state = pathlib.Path(arguments.state)
    watch = Stopwatch()
    cluster = set_up(cases, state, arguments)
    passed = 0
    for stage in STAGES:
        own = [one for one in cases if one.stage == stage]
        if own:
            install(cluster, stage)
            passed += run_stage(own, cluster)
    too_slow = print_figures(cluster.figures)
    failed = len(cases) - passed + too_slow
    print(f"{len(cases)} cases in {watch():.0f} s")
    (state / "verdict").write_text(f"{passed} passed, {failed} failed\n")
    keep_logs(state, cluster)
    return failed == 0


def run_stage(cases, cluster):
    """Runs the cases of a stage, each in its company; gives how many passed."""
    def run(one):
        return run_case(one, cluster, Namespace)

    def keeping(company):
        return [one for one in cases if one.company == company]

    with ThreadPoolExecutor() as pool:
        throughout = [pool.submit(run, one) for one in keeping(THROUGHOUT)]
        with ThreadPoolExecutor(TOGETHER_AT_ONCE) as together:
            results = list(together.map(run, keeping(TOGETHER)))
        for one in keeping(ALONE):
            results.append(run(one))
            if not results[-1]:
                # Whatever it left half done must not fail the next ones too.
                restore(cluster)
        results += [one.result() for one in throughout]
    return sum(results)


def set_up(cases, state, arguments):
    """AWS, the driver and Latchkey, by their own charts."""
    cache = state.parent
    driver = arguments.driver
    issuer = "https://kubernetes.default.svc.cluster.local"
    aws = Aws(str(cache / "emulator"), str(state), issuer, [one.name for one in cases])
    aws.start()
    cluster = Cluster(
        aws=aws,
        latchkey=kube.Release(),
        driver_chart=str(driver / "chart"),
        plain_provider=kube.PlainProvider(str(driver / "plain-provider"), state / "logs" / "plain-provider.log"),
        ascp=kube.Ascp(arguments.ascp),
        prometheus=arguments.prometheus,
    )
    install(cluster, DRIVER_WRITES)
    cluster.figure(BARS[0][0], time.time() - arguments.began)
    print(f"up: node, driver, provider after {time.time() - arguments.began:.1f} s", flush=True)
    return cluster


def install(cluster, stage):
    """Driver and Latchkey as the stage wants them."""
    if cluster.stage is None or cluster.stage.driver_interval != stage.driver_interval:
        kube.install_driver(cluster.driver_chart, stage.driver_interval)
    before, cluster.stage = cluster.stage, stage
    if before is None or (before.writer, before.poll_interval) != (stage.writer, stage.poll_interval):
        install_latchkey(cluster)


def install_latchkey(cluster):
    """Latchkey as the present stage wants it."""
    cluster.latchkey.install(cluster.writer, f"rotationPollInterval={cluster.stage.poll_interval}s")


def restore(cluster):
    """Everything as a case may expect it."""
    try:
        if cluster.aws.process.poll() is not None:
            cluster.aws.start()
        if cluster.plain_provider.process and cluster.plain_provider.process.poll() is None:
            cluster.plain_provider.stop()
        cluster.ascp.uninstall()
        if kube.kubectl("get", "--raw", "/readyz", check=False) != "ok":
            kube.ApiServer.start()
        install_latchkey(cluster)
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
