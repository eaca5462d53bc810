"""Lets MiniStack, an evaluator that nobody here wrote, decide what each role of the estate can read, and compares that
with what `latchkey access` says.

usage: agrees.py IAM.JSON SECRETS.JSON ACCESS.JSON
"""

import collections
import json
import sys

from ministack.core.iam_evaluator import (
    EvalContext,
    combine_resource_policy,
    evaluate,
    evaluate_trust_policy,
    parse_policy_document,
)

READS = {
    "secretsmanager": ["secretsmanager:GetSecretValue"],
    "ssm": ["ssm:GetParameters", "ssm:GetParameter", "ssm:GetParametersByPath", "ssm:GetParameterHistory"],
}


def documents(path):
    """The JSON documents of a file, one after the other."""
    text, decoder, at = open(path, encoding="utf-8").read(), json.JSONDecoder(), 0
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document
        while at < len(text) and text[at].isspace():
            at += 1


def roles(path):
    """The policies and the trust policy of each role."""
    found = {}
    for document in documents(path):
        managed = {
            policy["Arn"]: next(each["Document"] for each in policy["PolicyVersionList"] if each["IsDefaultVersion"])
            for policy in document.get("Policies", [])
        }
        for role in document.get("RoleDetailList", []):
            policies = [inline["PolicyDocument"] for inline in role["RolePolicyList"]]
            policies += [managed[attached["PolicyArn"]] for attached in role["AttachedManagedPolicies"]]
            found[role["Arn"]] = ([parse_policy_document(each) for each in policies], role["AssumeRolePolicyDocument"])
    return found


def secrets(path):
    """Each listed secret or parameter: its service, ARN, key and resource policy."""
    found, policies = {}, {}
    for document in documents(path):
        for each in document.get("SecretList", []):
            found[each["ARN"]] = ("secretsmanager", each.get("KmsKeyId"))
        for each in document.get("Parameters", []):
            key = each["KeyId"]
            found[each["ARN"]] = ("ssm", None if "alias/aws/" in key else key)
        if "ResourcePolicy" in document:
            policies[document["ARN"]] = json.loads(document["ResourcePolicy"])
    return found, policies


def context(role, action, resource, more):
    account, region = role.split(":")[4], resource.split(":")[3]
    keys = {"aws:principalaccount": account, "aws:requestedregion": region, **more}
    return EvalContext(
        principal_arn=role,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=region,
        source_ip=None,
        secure_transport=True,
        tag_keys=None,
        service_context=keys,
    )


def may(role, policies, action, resource, resource_policy=None, **more):
    ctx = context(role, action, resource, more)
    decision = evaluate(ctx, policies)
    if resource_policy is not None:
        owner = resource.split(":")[4]
        decision = combine_resource_policy(decision, ctx, resource_policy, owner, False, ())
    return decision.decision == "Allow"


def readable(role, policies, listed, resource_policies):
    """The ARNs that the role can read. Between accounts, nothing is said without a resource policy."""
    for arn, (service, key) in listed.items():
        if arn.split(":")[4] != role.split(":")[4]:
            continue
        if not any(may(role, policies, action, arn, resource_policies.get(arn)) for action in READS[service]):
            continue
        via = {"kms:viaservice": f"{service}.{arn.split(':')[3]}.amazonaws.com"}
        if key is None or may(role, policies, "kms:Decrypt", key, **via):
            yield arn


def identity(arn):
    """An ARN as the document of `latchkey access` names it."""
    _, _, service, region, account, rest = arn.split(":", 5)
    name = rest.split(":", 1)[1].rsplit("-", 1)[0] if service == "secretsmanager" else rest.removeprefix("parameter")
    return service, region, account, name


def main():
    iam, lists, answers = sys.argv[1:]
    known, (listed, resource_policies) = roles(iam), secrets(lists)
    said = json.load(open(answers, encoding="utf-8"))
    name_of = {position: (each["service"], each["region"], each["account"], each["name"]) for position, each in enumerate(said["secrets"])}
    is_listed = {identity(arn) for arn in listed}
    mistakes, compared, trusted = [], 0, 0
    by_role = collections.defaultdict(set)
    for route in said["routes"]:
        if not route["roles"]:
            continue
        role = said["roles"][route["roles"][-1]]["arn"]
        if role not in known:
            continue
        by_role[role].update(name_of[ask["secret"]] for ask in route["asks"] if ask["read"]["answer"] == "allowed")
        by_role[role].update(name_of[secret] for secret in route["can_also_read"])
        if route["means"] == "irsa":
            account = said["accounts"][route["account"]]
            issuer = next(
                statement["Principal"]["Federated"].split(":oidc-provider/")[1]
                for statement in known[role][1]["Statement"]
                if "Federated" in statement["Principal"]
            )
            claims = {
                f"{issuer}:sub": f"system:serviceaccount:{account['namespace']}:{account['name']}",
                f"{issuer}:aud": "sts.amazonaws.com",
            }
            claims = {key.lower(): value for key, value in claims.items()}
            provider = f"arn:aws:iam::{role.split(':')[4]}:oidc-provider/{issuer}"
            ctx = context(role, "sts:AssumeRoleWithWebIdentity", role, claims)
            lets_in = bool(evaluate_trust_policy(known[role][1], provider, ctx))
            trusted += 1
            if lets_in != (route["trust"]["answer"] == "allowed"):
                mistakes.append(f"{role}: MiniStack lets {account} in: {lets_in}; latchkey says {route['trust']}")
    for role, latchkey in by_role.items():
        ministack = {identity(arn) for arn in readable(role, known[role][0], listed, resource_policies)}
        compared += len(listed)
        # What no list has, MiniStack cannot be asked about.
        for secret in ministack ^ (latchkey & is_listed):
            who = "MiniStack" if secret in ministack else "latchkey"
            mistakes.append(f"{role}: only {who} says that it can read {secret}")
    assert by_role and trusted and compared
    print(f"MiniStack was asked about {compared} reads of {len(by_role)} roles, and {trusted} trust policies")
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    sys.exit(1 if mistakes else 0)


main()
