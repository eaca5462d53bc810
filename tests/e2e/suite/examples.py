"""The local example: its manifests are what an API server accepts, and work in a cluster as its README says."""

from . import kube
from .cases import case
from .kube import ROOT, SOCKETS, Release
from .tools import same, until

LOCAL = ROOT / "examples" / "local"
EMULATED, SHOP = "emulated-aws", "shop"


@case()
def local_example_works(_t, _ns):
    """The emulator as a Deployment with the cluster's own keys, the chart with the example's values, two pods. The
    one thing that is other than the README has it: this cluster has no DNS and no kube-proxy, so that the chart is
    given the address behind the Service."""
    try:
        kube.kubectl("create", "namespace", EMULATED)
        keys = kube.kubectl("get", "--raw", "/openid/v1/jwks")
        kube.kubectl("create", "configmap", "store", f"--namespace={EMULATED}",
                     f"--from-file={LOCAL / 'store.yaml'}", f"--from-literal=jwks.json={keys}")
        apply((LOCAL / "emulator.yaml").read_text())
        url = until("the Service has an address", behind_the_service, 60)

        values = f"--values={LOCAL / 'values.yaml'}"
        rendered = kube.helm("template", "--validate", "local", str(ROOT / "charts/latchkey"), values)
        apply(rendered, "--dry-run=server", f"--namespace={kube.SYSTEM}")
        release = Release("local", SOCKETS / "local.sock", values)
        release.install("driver", f"endpointUrl={url}", f"podIdentityEndpoint={url}")
        # The usual provider of this cluster knows another AWS.
        apply((LOCAL / "demo.yaml").read_text().replace("provider: aws", "provider: local"))
        kube.kubectl("wait", "--for=condition=Ready", "pod", "--all", f"--namespace={SHOP}", "--timeout=120s")
        same(read("cart", "password"), "correct horse battery staple", "the password by IRSA")
        same(read("worker", "currency"), "EUR", "the currency by Pod Identity")
        # Before the provider, which the driver would wait for.
        kube.kubectl("delete", "pod", "--all", f"--namespace={SHOP}", "--timeout=60s")
        release.uninstall()
    finally:
        for namespace in (EMULATED, SHOP):
            kube.kubectl("delete", "namespace", namespace, "--wait=false", check=False)


def apply(manifests, *options):
    """Applies manifests; an unknown field is an error."""
    kube.kubectl("apply", "--validate=strict", "--filename=-", *options, given=manifests)


def behind_the_service():
    """The address that the emulator's Service leads to."""
    slices = kube.get("endpointslices", namespace=EMULATED, selector="kubernetes.io/service-name=aws")
    ready = [(address, port["port"]) for one in slices for port in one["ports"] or []
             for end in one["endpoints"] or [] if end["conditions"]["ready"] for address in end["addresses"]]
    return f"http://{ready[0][0]}:{ready[0][1]}" if ready else None


def read(pod, file):
    """A mounted file, read in the pod."""
    return kube.kubectl("exec", f"--namespace={SHOP}", pod, "--", "cat", f"/mnt/secrets/{file}")
