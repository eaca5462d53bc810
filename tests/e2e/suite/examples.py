"""The manifests of examples/local are what an API server and the emulator accept."""

import pathlib
import shutil
import tempfile

from . import kube
from .aws import Emulator
from .cases import case
from .kube import ROOT


LOCAL = ROOT / "examples" / "local"


@case()
def local_examples_are_accepted(t, ns):
    """Every field of them, the chart with their values, and their store with this cluster's keys."""
    for namespace in ("emulated-aws", "shop"):
        kube.kubectl("create", "namespace", namespace)
    try:
        # A pod whose ServiceAccount is not there is refused, and a dry run does not create it.
        for name in ("cart", "worker"):
            kube.kubectl("create", "serviceaccount", name, "--namespace=shop")
        for name in ("emulator.yaml", "demo.yaml"):
            kube.kubectl("apply", "--dry-run=server", "--validate=strict", f"--filename={LOCAL / name}")
        values = f"--values={LOCAL / 'values.yaml'}"
        rendered = kube.helm("template", "--validate", "local", str(ROOT / "charts/latchkey"), values)
        kube.kubectl("apply", "--dry-run=server", "--validate=strict", f"--namespace={kube.SYSTEM}", "--filename=-",
                     given=rendered)
    finally:
        for namespace in ("emulated-aws", "shop"):
            kube.kubectl("delete", "namespace", namespace, "--wait=false")

    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(LOCAL / "store.yaml", folder)
        (pathlib.Path(folder) / "jwks.json").write_text(kube.kubectl("get", "--raw", "/openid/v1/jwks"))
        emulator = Emulator(t.aws.program, f"{folder}/store.yaml", t.aws.log, port=4566)
        emulator.start()
        emulator.stop()
