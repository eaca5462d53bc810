"""Lets MiniStack decide about requests: a JSON list on standard input, a list of its answers on standard output.

What MiniStack 1.5.33 is known to get wrong, so that no question depends on it:
- policy variables in Resource and in conditions are texts to it;
- ArnLike compares the whole text instead of the six parts;
- aws:PrincipalArn of a session is the session's ARN instead of the role's;
- an operator without ForAllValues or ForAnyValue compares the text of the list of several values;
- a service (pods.eks.amazonaws.com) cannot assume a role;
- sts:ExternalId and other keys are only known if the question brings them.
"""

import json
import sys

from ministack.core.iam_evaluator import (
    EvalContext,
    combine_resource_policy,
    evaluate,
    evaluate_trust_policy,
    parse_policy_document,
)


def context(question):
    keys = {key.lower(): values[0] if len(values) == 1 else values for key, values in question["context"].items()}
    return EvalContext(
        principal_arn=question["principal"],
        principal_type="AssumedRole",
        principal_account=question["account"],
        action=question["action"],
        resource_arn=question["resource"],
        region=question["resource"].split(":")[3],
        source_ip=keys.pop("aws:sourceip", None),
        secure_transport=True,
        tag_keys=None,
        service_context=keys,
    )


def layer(policies):
    return [parse_policy_document(policy) for policy in policies]


def decide(question):
    ctx = context(question)
    if "trust" in question:
        return "Allow" if evaluate_trust_policy(question["trust"], question["principal"], ctx) else "ImplicitDeny"
    limits = [layer(policies) for policies in question.get("limits", [])]
    identity = evaluate(ctx, layer(question["policies"]), *limits)
    if question.get("resource_policy") is None:
        return identity.decision
    return combine_resource_policy(
        identity, ctx, question["resource_policy"], question["owner"], question["required"], tuple(limits)
    ).decision


json.dump([decide(question) for question in json.load(sys.stdin)], sys.stdout)
