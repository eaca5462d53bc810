"""The register of cases, the stages they run in, and how one is run."""

import dataclasses
import fnmatch
import time
import traceback
from dataclasses import dataclass, field

from .kube import POLL_INTERVAL
from .tools import Failed, Stopwatch


@dataclass(frozen=True)
class Stage:
    """How Latchkey and the driver are installed while a case runs: who writes the files ("driver" or "provider"),
    the driver's rotationPollInterval, and Latchkey's in seconds."""

    writer: str
    driver_interval: str
    poll_interval: int = POLL_INTERVAL


DRIVER_WRITES = Stage("driver", "2s")
# The interval is the driver's own, and no matter where the provider writes: it is the one of which
# `provider_down_for_130_seconds` says what it does to a pod, and that case takes as long as all others of the stage.
PROVIDER_WRITES = Stage("provider", "5m")
# For what needs the driver to call again soon.
PROVIDER_WRITES_CALLED_OFTEN = Stage("provider", "2s")
# For many rotations in a short time.
PROVIDER_POLLS_OFTEN = Stage("provider", "2s", poll_interval=1)
STAGES = [DRIVER_WRITES, PROVIDER_WRITES_CALLED_OFTEN, PROVIDER_POLLS_OFTEN, PROVIDER_WRITES]

# With whom a case shares the cluster. TOGETHER: with others that touch nothing but what is their own. ALONE: with
# nobody, because it disturbs or measures. THROUGHOUT: with all others of its stage, from its start to its end.
TOGETHER, ALONE, THROUGHOUT = "together", "alone", "throughout"


@dataclass(frozen=True)
class Case:
    """A test: a function with a name, run in a stage."""

    act: object
    name: str
    stage: Stage
    company: str
    needs_ascp: bool


@dataclass
class Cluster:
    """What every case gets."""

    aws: object
    latchkey: object
    driver_chart: str
    plain_provider: object
    # AWS's own provider, if this run has it.
    ascp: object
    # The folder of the program prometheus, if this machine has it.
    prometheus: str
    # How everything is installed at present.
    stage: Stage = None
    notes: list = field(default_factory=list)
    figures: dict = field(default_factory=dict)

    @property
    def writer(self):
        """Who writes the files."""
        return self.stage.writer

    def note(self, text):
        """Says what a case saw that is no pass or failure by itself."""
        self.notes.append(text)

    def figure(self, name, *values):
        """Adds to a figure that is printed at the end."""
        self.figures.setdefault(name, []).extend(values)


CASES = []


def case(*stages, company=TOGETHER, needs_ascp=False):
    """Registers a function as a case: once for each stage. Its name is its namespace's, role's and secrets' too."""
    def register(act):
        plain = act.__name__.replace("_", "-")
        for stage in stages or (DRIVER_WRITES,):
            name = f"{plain}-{stage.writer}" if len(stages) > 1 else plain
            CASES.append(Case(act, name, stage, company, needs_ascp))
        return act
    return register


def chosen(patterns, with_ascp):
    """The cases whose name has one of the texts in it, or all; those with AWS's own provider only with it."""
    wanted = [f"*{pattern}*" for pattern in patterns] or ["*"]
    return [one for one in CASES if any(fnmatch.fnmatch(one.name, pattern) for pattern in wanted)
            and (with_ascp or not one.needs_ascp)]


def run_case(one, cluster, namespace):
    """Runs a case and says how it went; gives whether it passed."""
    own = dataclasses.replace(cluster, notes=[])
    watch = Stopwatch()
    space, why = None, ""
    try:
        space = namespace(one.name)
        one.act(own, space)
        space.delete()
    except (Failed, AssertionError) as failure:
        why = str(failure)
    except Exception:  # pylint: disable=broad-except # a bug in a case must not end the others
        why = traceback.format_exc()
    said = [f"{time.strftime('%H:%M:%S')} {'FAILED' if why else 'ok    '} {one.name} ({watch():.1f} s)"]
    said += [*own.notes, *why.strip().splitlines()]
    print("\n           ".join(said), flush=True)
    if why and space:
        space.record()
        space.delete()
    return not why
