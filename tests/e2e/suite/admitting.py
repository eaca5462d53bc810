"""What the API server admits with the policies that `latchkey check --print-admission-policy` prints."""

import json
import sys

from . import kube
from .cases import case
from .tools import Failed, expect, has, run, until

DRIVER = "secrets-store.csi.k8s.io"
ROLE = "arn:aws:iam::111122223333:role/"
FLAGS = ["--allowed-regions=eu-*,us-east-1", f"--allowed-roles={ROLE}shop-*", "--deny=default-service-account"]


def a_class(namespace, provider="aws", **parameters):
    """A SecretProviderClass."""
    return {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
        "metadata": {"name": "tried", "namespace": namespace},
        "spec": {"provider": provider, "parameters": {"objects": "[]", **parameters}},
    }


def a_pod(namespace, account="own", driver=DRIVER, **attributes):
    """A pod with a volume of a driver."""
    volume = {"driver": driver, "readOnly": True, "volumeAttributes": {"secretProviderClass": "tried", **attributes}}
    account = {"serviceAccountName": account} if account else {}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried", "namespace": namespace},
        "spec": {
            "containers": [{"name": "app", "image": "app"}], "volumes": [{"name": "secrets", "csi": volume}], **account,
        },
    }


def attempts(namespace):
    """Objects, each with what the refusal says; None if it is admitted."""
    role, regions, roles = "roleArn is not allowed", "--allowed-regions=eu-*,us-east-1", "--allowed-roles"
    own = "a pod that mounts secrets needs a service account of its own"
    return [
        (a_class(namespace), None),
        (a_class(namespace, region="eu-west-1", failoverRegion="us-east-1"), None),
        (a_class(namespace, region="", roleArn=""), None),
        (a_class(namespace, assumeRoleArn=f"{ROLE}shop-reader"), None),
        (a_class(namespace, provider="azure", region="moon", roleArn="x"), None),
        (a_class(namespace, roleArn=f"{ROLE}shop-web"), role),
        (a_class(namespace, assumeRoleArn=f"{ROLE}admin"), roles),
        (a_class(namespace, assumeRoleArn=f"x{ROLE}shop-reader"), roles),
        (a_class(namespace, region="us-west-2"), regions),
        (a_class(namespace, region="us-east-11"), regions),
        (a_class(namespace, failoverRegion="us-west-2"), regions),
        (a_pod(namespace), None),
        (a_pod(namespace, region="eu-west-1"), None),
        (a_pod(namespace, account="", driver="other.csi.example.com"), None),
        (a_pod(namespace, account=""), own),
        (a_pod(namespace, account="default"), own),
        (a_pod(namespace, roleArn=f"{ROLE}shop-web"), role),
        (a_pod(namespace, region="us-west-2"), regions),
    ]


def refusal(tried):
    """What the API server says against an object; None if it would create it."""
    try:
        kube.kubectl("create", "--dry-run=server", "--filename=-", given=json.dumps(tried))
    except Failed as failure:
        return str(failure)
    return None


def admit(t, program, namespace):
    """Applies the policies to one namespace, tries everything, and removes them."""
    policies = run(program, "check", "--print-admission-policy", *FLAGS)
    only_here = f"""  validationActions: [Deny]
  matchResources:
    namespaceSelector:
      matchLabels: {{kubernetes.io/metadata.name: {namespace}}}
"""
    # Other cases share the cluster.
    policies = policies.replace("  validationActions: [Deny]\n", only_here)
    kube.kubectl("apply", "--validate=strict", "--filename=-", given=policies)
    try:
        # The API server reads new policies after a moment.
        bad = [a_class(namespace, roleArn="x"), a_pod(namespace, account="default")]
        until("the policies are in force", lambda: all(refusal(tried) for tried in bad), 60)
        tried = attempts(namespace)
        for given, expected in tried:
            said = refusal(given)
            if expected is None:
                expect(said is None, f"{given['spec']} was refused: {said}")
            else:
                has(said or f"{given['spec']} was admitted", expected)
        t.note(f"{len(tried)} objects tried")
    finally:
        kube.kubectl("delete", "--filename=-", given=policies)


@case()
def admission_policies_refuse_what_the_operator_forbids(t, ns):
    """The policies that `check` prints are valid, admit what is good, and refuse the rest with their message."""
    kube.create({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "own", "namespace": ns.name},
    })
    admit(t, t.aws.command[0], ns.name)


class Alone:
    """An API server without anything else."""

    @staticmethod
    def note(text):
        """Prints it."""
        print(text)


def main(program):
    """Tries the policies in the API server of the kubeconfig."""
    kube.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tried"}},
        *({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "tried"}}
          for name in ("default", "own")),
    )
    admit(Alone, program, "tried")


if __name__ == "__main__":
    main(sys.argv[1])
