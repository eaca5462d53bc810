"""The register of cases, and how one is run."""

import fnmatch
import time
import traceback
from dataclasses import dataclass, field

from .tools import Failed, Stopwatch


@dataclass
class Case:
    """A test: a function with a name, run with Latchkey installed in one way of delivery."""

    act: object
    mode: str

    @property
    def name(self):
        """Its name; its namespace, role and secrets have the same."""
        plain = self.act.__name__.replace("_", "-")
        return f"{plain}-{self.mode}" if self.mode else plain


@dataclass
class Cluster:
    """What every case gets."""

    aws: object
    latchkey: object
    driver_chart: str
    plain_provider: object
    # Who writes the files at present.
    mode: str = "driver"
    notes: list = field(default_factory=list)
    figures: dict = field(default_factory=dict)

    def note(self, text):
        """Says what a case saw that is no pass or failure by itself."""
        self.notes.append(text)

    def figure(self, name, *values):
        """Adds to a figure that is printed at the end."""
        self.figures.setdefault(name, []).extend(values)


CASES = []

# Who writes the files: the values of the chart.
MODES = {"driver": "driverWritesSecrets=true", "provider": "driverWritesSecrets=false"}


def case(*modes):
    """Registers a function as a case: once for each mode named, or as it stands without a mode."""
    def register(act):
        CASES.extend(Case(act, mode) for mode in modes or ("",))
        return act
    return register


def chosen(patterns):
    """The cases whose name has one of the texts in it, or all."""
    wanted = [f"*{pattern}*" for pattern in patterns] or ["*"]
    return [one for one in CASES if any(fnmatch.fnmatch(one.name, pattern) for pattern in wanted)]


def run_case(one, cluster, namespace):
    """Runs a case and says how it went; gives whether it passed."""
    cluster.notes = []
    watch = Stopwatch()
    space, why = None, ""
    try:
        space = namespace(one.name)
        one.act(cluster, space)
        space.delete()
    except (Failed, AssertionError) as failure:
        why = str(failure)
    except Exception:  # pylint: disable=broad-except # a bug in a case must not end the others
        why = traceback.format_exc()
    print(f"{time.strftime('%H:%M:%S')} {'FAILED' if why else 'ok    '} {one.name} ({watch():.1f} s)", flush=True)
    for note in cluster.notes:
        print(f"           {note}", flush=True)
    if why:
        print("           " + why.strip().replace("\n", "\n           "), flush=True)
        if space:
            space.record()
            space.delete()
    return not why
