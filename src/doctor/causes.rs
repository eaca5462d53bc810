//! From the text of a failed mount to its cause and its fix. The texts are Latchkey's own,
//! the driver's and kubelet's; tests/messages has Latchkey's.

use super::rules::{
    AGENT_UNREACHABLE, ASSOCIATION_MISSING, AUDIENCE_MISSING, AWS_THROTTLES, AWS_UNREACHABLE, CLASS_INVALID,
    CLASS_MISSING, CLOCK_OFF, DRIVER_NOT_REGISTERED, ISSUER_UNKNOWN, KMS_DENIED, LATCHKEY_FORBIDDEN,
    MOUNT_FAILED, NO_IDENTITY, NODE_ROLE_DENIED, OBJECT_MISSING, OBJECT_UNUSABLE, PROVIDER_NOT_SERVED,
    PROVIDER_SILENT, ROLE_ARN_INVALID, SECRET_DENIED, STS_UNREACHABLE, TOKEN_REFUSED, TRUST_REFUSED,
    VALUE_MISMATCH,
};
use crate::findings::Rule;

/// One of the things that went wrong in a mount.
#[derive(Debug, PartialEq)]
pub(super) struct Cause {
    pub(super) rule: &'static Rule,
    /// What the message says of it.
    pub(super) said: String,
    /// Empty for the rule's own advice.
    pub(super) fix: String,
}

/// A text must contain all of the first, and one of the second, unless there are none.
struct Row(&'static [&'static str], &'static [&'static str], &'static Rule);

const NO_ANSWER: &[&str] =
    &["cannot reach the endpoint", "no response in time", "did not respond", "could not be read"];
const AGENT: &[&str] = &["eks-auth:AssumeRoleForPodIdentity"];
const STS: &[&str] = &["sts:AssumeRole"];

/// The first row that fits counts.
const ROWS: &[Row] = &[
    Row(&["the driver sent no token for audience"], &[], &AUDIENCE_MISSING),
    Row(&["the clocks of this node and AWS differ"], &[], &CLOCK_OFF),
    Row(&["has no AWS identity"], &[], &NO_IDENTITY),
    Row(&["has no annotation eks.amazonaws.com/role-arn"], &[], &NO_IDENTITY),
    Row(&["the annotation eks.amazonaws.com/role-arn of service account"], &[], &ROLE_ARN_INVALID),
    Row(&["Kubernetes does not allow Latchkey's own service account"], &[], &LATCHKEY_FORBIDDEN),
    Row(&["the Kubernetes API failed"], &[], &MOUNT_FAILED),
    Row(&["the mount request is invalid"], &[], &CLASS_INVALID),
    Row(&["AWS is throttling the account"], &[], &AWS_THROTTLES),
    Row(&["this response is not from AWS"], &[], &AWS_UNREACHABLE),
    Row(&["the role's ARN is invalid"], &[], &ROLE_ARN_INVALID),
    Row(&[], &["jmesPath: the value", "jmesPath \"", "the value is not "], &VALUE_MISMATCH),
    Row(&["the token for audience"], &["is refused"], &TOKEN_REFUSED),
    // The Pod Identity agent.
    Row(AGENT, &["ResourceNotFoundException"], &ASSOCIATION_MISSING),
    Row(AGENT, &["The role of this node"], &NODE_ROLE_DENIED),
    Row(AGENT, &["AccessDenied"], &TRUST_REFUSED),
    Row(AGENT, &["EKS rejected the pod's token"], &TOKEN_REFUSED),
    Row(AGENT, &[], &AGENT_UNREACHABLE),
    // STS.
    Row(STS, NO_ANSWER, &STS_UNREACHABLE),
    Row(STS, &["InvalidIdentityToken", "IDPCommunicationError"], &ISSUER_UNKNOWN),
    Row(STS, &["ExpiredToken", "IDPRejectedClaim"], &TOKEN_REFUSED),
    Row(STS, &["AccessDenied"], &TRUST_REFUSED),
    Row(STS, &["InternalFailure", "ServiceUnavailable", "InternalError"], &AWS_UNREACHABLE),
    // Secrets and parameters.
    Row(&["KMS key"], &["is disabled: enable", "scheduled for deletion: cancel"], &OBJECT_UNUSABLE),
    Row(
        &[],
        &["missing: kms:", "denied: kms:", "Access to KMS is not allowed", "the caller needs kms:Decrypt"],
        &KMS_DENIED,
    ),
    Row(&["explicitly denies kms:"], &[], &KMS_DENIED),
    Row(&["the secret is"], &["scheduled for deletion", "deleted: restore"], &OBJECT_UNUSABLE),
    Row(&[], &["AccessDenied", "OptInRequired"], &SECRET_DENIED),
    Row(
        &[],
        &["ResourceNotFoundException", "ParameterNotFound", "there is no such parameter", "ParameterVersion"],
        &OBJECT_MISSING,
    ),
    Row(&[" failed: "], NO_ANSWER, &AWS_UNREACHABLE),
    Row(
        &[" failed: "],
        &["InternalServiceError", "InternalServerError", "ServiceUnavailable", "HTTP 5"],
        &AWS_UNREACHABLE,
    ),
    // The driver and kubelet.
    Row(&["provider not found: provider"], &[], &PROVIDER_NOT_SERVED),
    Row(&["not found in the list of registered CSI drivers"], &[], &DRIVER_NOT_REGISTERED),
    Row(&["failed to get secretproviderclass"], &["not found"], &CLASS_MISSING),
    Row(&[], &["DeadlineExceeded", "context deadline exceeded"], &PROVIDER_SILENT),
];

/// The causes in the text of an event or a log line.
pub(super) fn causes(text: &str) -> Vec<Cause> {
    let text = inner(text);
    let (who, parts) = parts(text);
    let mut causes: Vec<Cause> = Vec::new();
    for part in parts {
        let rule = judge(part);
        let fix = fix(rule, part, who);
        // One of each kind: the others have the same cause, or follow when it is repaired.
        if !causes.iter().any(|cause| cause.rule == rule && cause.fix == fix) {
            // A fix of its own says what Latchkey's advice says.
            let said = if fix.is_empty() { part } else { without_advice(part) };
            causes.push(Cause { rule, said: said.to_owned(), fix });
        }
    }
    causes
}

/// Latchkey's own message in kubelet's and the driver's, or else the driver's.
fn inner(text: &str) -> &str {
    let from_driver = text.split_once("failed to mount secrets store objects for pod ");
    let of_provider = from_driver.and_then(|(_, rest)| rest.split_once("err: ")).map(|(_, rest)| {
        rest.split_once("rpc error: code = ")
            .and_then(|(_, rest)| rest.split_once(" desc = "))
            .map_or(rest, |(_, said)| said)
    });
    let said = of_provider.or_else(|| text.split_once(" desc = ").map(|(_, said)| said)).unwrap_or(text);
    said.trim().trim_end_matches("; nothing was changed in the pod")
}

/// AWS's words end with the id of the request, or else where the advice begins.
fn without_advice(part: &str) -> &str {
    if let Some((before, rest)) = part.split_once(" (request id ")
        && let Some(end) = rest.find(')')
    {
        return &part[..before.len() + " (request id ".len() + end + 1];
    }
    let begins = [
        ". A Pod Identity association for",
        ": annotate it with",
        ", which IRSA requires",
        ": add this audience",
    ];
    begins.into_iter().find_map(|begin| part.split_once(begin)).map_or(part, |(said, _)| said)
}

/// Whom a message is about, and what it says of each object: `2 of 5 objects of … failed
/// for …: (1) …; (2) …`.
fn parts(text: &str) -> (&str, Vec<&str>) {
    let Some((who, list)) = text.split_once(": (1) ").filter(|(who, _)| who.contains(" objects of ")) else {
        return (text, vec![text]);
    };
    let mut parts = Vec::new();
    let mut rest = list;
    for number in 2.. {
        match rest.split_once(&format!("; ({number}) ")) {
            Some((part, more)) => {
                parts.push(part);
                rest = more;
            }
            None => {
                parts.push(rest);
                break;
            }
        }
    }
    (who, parts)
}

fn judge(part: &str) -> &'static Rule {
    let fits = |Row(all, any, _): &&Row| {
        all.iter().all(|text| part.contains(text))
            && (any.is_empty() || any.iter().any(|text| part.contains(text)))
    };
    ROWS.iter().find(fits).map_or(&MOUNT_FAILED, |Row(_, _, rule)| rule)
}

fn fix(rule: &'static Rule, part: &str, who: &str) -> String {
    let account = after(who, "service account ").or_else(|| after(part, "service account "));
    let (namespace, name) =
        account.and_then(|account| account.split_once('/')).unwrap_or(("NAMESPACE", "NAME"));
    let role = after(who, "with role ").or_else(|| after(part, "with role ")).unwrap_or("the role");
    if *rule == ASSOCIATION_MISSING {
        return format!(
            "Create the association: aws eks create-pod-identity-association --cluster-name CLUSTER --namespace {namespace} --service-account {name} --role-arn ROLE. The role must trust pods.eks.amazonaws.com with sts:AssumeRole and sts:TagSession."
        );
    }
    if *rule == NO_IDENTITY {
        return format!(
            "For IRSA: kubectl --namespace {namespace} annotate serviceaccount {name} eks.amazonaws.com/role-arn=ROLE. For EKS Pod Identity: aws eks create-pod-identity-association --cluster-name CLUSTER --namespace {namespace} --service-account {name} --role-arn ROLE."
        );
    }
    if *rule == TRUST_REFUSED && part.contains("sts:AssumeRoleWithWebIdentity") && !part.contains("denied: ")
    {
        return format!(
            "In the trust policy of {role}, allow sts:AssumeRoleWithWebIdentity to the cluster's OIDC provider, with the conditions <issuer>:sub = system:serviceaccount:{namespace}:{name} and <issuer>:aud = sts.amazonaws.com. Check that the role exists."
        );
    }
    if *rule == PROVIDER_NOT_SERVED {
        let provider = part.rsplit('"').nth(1).unwrap_or("aws");
        return format!(
            "Check that Latchkey's pod on the node is ready, and that its socketName is {provider}.sock and its providerVolume the driver's folder."
        );
    }
    // What Latchkey's message says after AWS's words is the advice.
    for (word, verb) in [("; missing: ", "Grant "), ("; denied: ", "Change the policy: ")] {
        if let Some((_, advice)) = part.split_once(word) {
            return format!("{verb}{}.", advice.trim_end_matches('.'));
        }
    }
    String::new()
}

/// The word after a text, without the punctuation at its end.
fn after<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    let word = rest.split([' ', ';', ',']).next()?;
    Some(word.trim_end_matches([':', '.', ')'])).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Each kind of failure in tests/messages/table.md, and what it is judged to be.
    #[test]
    fn every_message_of_latchkey_has_its_cause() {
        let table = include_str!("../../tests/messages/table.md");
        let mut judged: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut section = "";
        for line in table.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                section = title;
            }
            let Some((_, message)) = line.split_once(" | `") else { continue };
            let (_, message) = message.trim_end_matches(" |").split_once("` ").unwrap();
            judged.entry(section).or_default().extend(causes(message).iter().map(|cause| cause.rule.id));
        }
        let judged: Vec<(&str, String)> = judged
            .into_iter()
            .map(|(section, ids)| (section, ids.into_iter().collect::<Vec<_>>().join(" ")))
            .collect();
        // `mount-failed` is what has no rule of its own: an inactive Region, credentials that
        // AWS does not know, a value that is too large, a mount that took too long.
        let expected = [
            ("AWS denies an object", "clock-off kms-denied mount-failed object-unusable secret-denied"),
            (
                "AWS gives no credentials",
                "association-missing issuer-unknown mount-failed node-role-denied role-arn-invalid token-refused trust-refused",
            ),
            (
                "AWS, or the way to it, fails",
                "agent-unreachable aws-throttles aws-unreachable mount-failed sts-unreachable",
            ),
            (
                "An object cannot be read or used",
                "mount-failed object-missing object-unusable value-mismatch",
            ),
            ("The class is wrong", "class-invalid"),
            (
                "The pod has no identity",
                "audience-missing latchkey-forbidden mount-failed no-identity role-arn-invalid token-refused",
            ),
        ];
        assert_eq!(judged, expected.map(|(section, ids)| (section, ids.to_owned())));
    }

    #[test]
    fn kubelets_and_the_drivers_words_are_taken_off() {
        let text = "MountVolume.SetUp failed for volume \"s\" : rpc error: code = Unknown desc = failed to mount secrets store objects for pod shop/web, err: rpc error: code = PermissionDenied desc = 1 of 1 objects of SecretProviderClass shop/c failed for service account shop/web with role arn:aws:iam::111122223333:role/web: (1) Secrets Manager \"a\": secretsmanager:GetSecretValue in eu-west-1 failed: AccessDeniedException: no (request id 1); missing: secretsmanager:GetSecretValue on arn:x in an identity-based policy of role web; nothing was changed in the pod";
        let causes = causes(text);
        assert_eq!(causes.len(), 1);
        assert_eq!(*causes[0].rule, SECRET_DENIED);
        assert_eq!(
            causes[0].fix,
            "Grant secretsmanager:GetSecretValue on arn:x in an identity-based policy of role web."
        );
        assert!(causes[0].said.starts_with("Secrets Manager \"a\""), "{}", causes[0].said);
    }

    #[test]
    fn the_drivers_own_failures_are_known() {
        for (text, rule) in [
            (
                "MountVolume.SetUp failed for volume \"s\" : rpc error: code = Unknown desc = failed to mount secrets store objects for pod a/b, err: error connecting to provider \"aws\": provider not found: provider \"aws\"",
                &PROVIDER_NOT_SERVED,
            ),
            (
                "MountVolume.SetUp failed for volume \"s\" : kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name secrets-store.csi.k8s.io not found in the list of registered CSI drivers",
                &DRIVER_NOT_REGISTERED,
            ),
            (
                "MountVolume.SetUp failed for volume \"s\" : rpc error: code = Unknown desc = failed to get secretproviderclass a/c, error: SecretProviderClass.secrets-store.csi.x-k8s.io \"c\" not found",
                &CLASS_MISSING,
            ),
            (
                "MountVolume.SetUp failed for volume \"s\" : rpc error: code = DeadlineExceeded desc = context deadline exceeded",
                &PROVIDER_SILENT,
            ),
        ] {
            assert_eq!(causes(text)[0].rule, rule, "{text}");
        }
    }
}
