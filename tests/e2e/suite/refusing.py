"""What does not work says why in the pod's events, and works as soon as the cause has gone."""

from .aws import role
from .cases import case
from .kube import ROTATES_WITHIN
from .pods import password
from .tools import Stopwatch, has, same, until

READ = "secretsmanager:GetSecretValue"


@case()
def wrong_manifest_says_every_mistake(t, ns):
    """All mistakes of a class stand in one event, each with its object, key and value."""
    ns.secret_class("class", [
        {"objectName": f"{ns.name}/password", "objectType": "secretmanager"},
        {"objectName": f"{ns.name}/login", "objectType": "secretsmanager", "filePermission": "0999"},
        {"objectName": f"/e2e/{ns.name}/host", "objectType": "ssmparameter", "objectAlias": "../host"},
    ])
    watch = Stopwatch()
    text = ns.pod().mount_failure("secretmanager", "0999", "../host")
    t.note(f"after {watch():.1f} s: {text}")
    has(text, "objectType", "filePermission", "objectAlias", "InvalidArgument")


@case()
def denied_secret_says_the_cause_and_heals(t, ns):
    """The event names role, action and secret; once allowed, the same pod starts without anything restarted."""
    restarts = t.latchkey.restarts()
    name = ns.secret()
    t.aws.policy("deny", ns.name, READ, name)
    ns.secret_class("class", [password(ns.name), {"objectName": f"{ns.name}/no-such", "objectType": "secretsmanager"}])
    pod = ns.pod()
    text = pod.mount_failure(name, READ)
    t.note(text)
    has(text, "PermissionDenied", "AccessDeniedException", role(ns.name).partition(":role/")[2], "no-such", "irsa")
    uid = pod.uid()
    pod.delete()

    ns.password("only-denied")
    pod = ns.pod(of="only-denied")
    pod.mount_failure(name, READ)
    uid = pod.uid()
    t.aws.policy("allow", ns.name, READ, name)
    watch = Stopwatch()
    # The kubelet tries again at growing intervals, of two minutes at most.
    pod.ready()
    t.note(f"ready {watch():.1f} s after the permission was given")
    same(pod.read(), "first", "the file")
    pod.untouched_since(uid)
    same(t.latchkey.restarts(), restarts, "restarts of the provider")


@case()
def permission_lost_while_running_keeps_the_file(t, ns):
    """A denial after the start costs the running pod nothing that it has; it is healed by the permission."""
    ns.password()
    pod = ns.pod().ready()
    t.aws.policy("deny", ns.name, READ, ns.secret())
    t.aws.put_secret(ns.secret(), "second")
    def denied():
        return [call for call in t.aws.calls("GetSecretValue", ns.name) if call["error"]]
    until("a read is denied", denied, ROTATES_WITHIN)
    same(pod.read(), "first", "the file of the running pod")
    t.aws.policy("allow", ns.name, READ, ns.secret())
    pod.first("second", within=ROTATES_WITHIN)
    same([one.text for one in pod.saw()], ['"first"', '"second"'], "what the pod saw")
