//! Who calls, and what the caller may do: checks keys, sessions and policies against the
//! [`World`].

use std::time::SystemTime;

use super::{
    arn::{Arn, partition_of},
    principal::Principal,
    wire::{AwsError, Service},
    world::World,
};

/// The resource of an action.
pub(super) struct Resource<'a> {
    /// Its name in the error message; `None` for actions without a resource.
    pub(super) named: Option<&'a str>,
    /// What the pattern of a rule may match: the name, the ARN, the ARN without suffix.
    pub(super) candidates: Vec<String>,
    pub(super) account: &'a str,
    /// The role ARNs and accounts that its resource policy allows.
    pub(super) allowed_by_policy: &'a [String],
}

/// The verified caller of a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) principal: Principal,
    pub(super) region: String,
    pub(super) now: SystemTime,
}

impl Caller {
    pub(super) fn partition(&self) -> &'static str {
        partition_of(&self.region)
    }
}

/// Decides as IAM does. An explicit deny wins. Within an account, one allowing policy is
/// enough, the identity's or the resource's. Between accounts, both must allow the action
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>).
pub(super) fn authorize(
    world: &World,
    caller: &Caller,
    action: &str,
    resource: &Resource<'_>,
) -> Result<(), AwsError> {
    let principal = &caller.principal;
    let same_account = principal.account() == resource.account;
    let (denied, identity_allows) = match principal {
        Principal::Administrator { .. } => (false, true),
        Principal::Role { role_arn, .. } => {
            let rules = world.roles.get(role_arn).map_or(&[][..], |role| &role.rules);
            let covers = |deny: bool| {
                rules.iter().any(|rule| rule.deny == deny && rule.covers(action, &resource.candidates))
            };
            (covers(true), covers(false))
        }
    };
    let policy_allows = resource.allowed_by_policy.iter().any(|allowed| {
        Some(allowed.as_str()) == principal.role_arn()
            || allowed == principal.account()
            || is_root_of(allowed, principal.account())
    });
    let reason = if denied {
        "with an explicit deny in an identity-based policy".to_owned()
    } else if same_account && (identity_allows || policy_allows) || identity_allows && policy_allows {
        return Ok(());
    } else if identity_allows {
        format!("because no resource-based policy allows the {action} action")
    } else {
        format!("because no identity-based policy allows the {action} action")
    };
    let on = resource.named.map(|named| format!(" on resource: {named}")).unwrap_or_default();
    Err(AwsError::service(
        "AccessDeniedException",
        format!(
            "User: {} is not authorized to perform: {action}{on} {reason}",
            principal.arn(&caller.region)
        ),
    ))
}

/// Whether `text` is `arn:…:iam::account:root`, which stands for the whole account.
pub(super) fn is_root_of(text: &str, account: &str) -> bool {
    Arn::parse(text)
        .is_some_and(|arn| arn.service == "iam" && arn.resource == "root" && arn.account == account)
}

/// The parts of a SigV4 `Authorization` header that the emulator reads. It does not verify
/// the signature: a client can only have an access key from the emulator or its store.
pub(super) struct Scope {
    pub(super) access_key: String,
    pub(super) region: String,
    pub(super) service: String,
}

impl Scope {
    /// Reads `AWS4-HMAC-SHA256 Credential=AKID/date/region/service/aws4_request, …`.
    ///
    /// # Errors
    /// The errors of AWS's front end: `MissingAuthenticationToken…` without a header,
    /// `IncompleteSignature…` for a header that is not SigV4.
    pub(super) fn from_header(header: Option<&str>, service: Service) -> Result<Self, AwsError> {
        let json = service != Service::Sts;
        let Some(header) = header else {
            return Err(if json {
                AwsError::front_end("MissingAuthenticationTokenException", "Missing Authentication Token")
            } else {
                AwsError::front_end("MissingAuthenticationToken", "Request is missing Authentication Token")
            }
            .with_status(service.refusal_status()));
        };
        let incomplete = || {
            let code = if json { "IncompleteSignatureException" } else { "IncompleteSignature" };
            AwsError::front_end(
                code,
                "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter.",
            )
        };
        let fields = header.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(incomplete)?;
        let field = |name: &str| {
            fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let credential = field("Credential").ok_or_else(incomplete)?;
        field("SignedHeaders").ok_or_else(incomplete)?;
        field("Signature").filter(|hex| hex.len() == 64).ok_or_else(incomplete)?;
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key, _date, region, scope_service, "aws4_request"] = parts[..] else {
            return Err(incomplete());
        };
        Ok(Self {
            access_key: access_key.to_owned(),
            region: region.to_owned(),
            service: scope_service.to_owned(),
        })
    }
}

impl World {
    /// The principal of a signed request's access key and session token.
    ///
    /// # Errors
    /// The errors of AWS's front end for an unknown, mismatched or expired key.
    pub(super) fn principal_of(
        &self,
        scope: &Scope,
        session_token: Option<&str>,
        service: Service,
        now: SystemTime,
    ) -> Result<Principal, AwsError> {
        let sts = service == Service::Sts;
        let refused = |code: &str, message: &str| {
            AwsError::front_end(code, message).with_status(service.refusal_status())
        };
        if scope.service != service.signing_name() {
            let code = if sts { "SignatureDoesNotMatch" } else { "InvalidSignatureException" };
            let message =
                format!("Credential should be scoped to correct service: '{}'. ", service.signing_name());
            return Err(refused(code, &message));
        }
        if let Some(principal) = self.static_keys.get(&scope.access_key)
            && session_token.is_none()
        {
            return Ok(principal.clone());
        }
        let known = self
            .sessions
            .get(&scope.access_key)
            .filter(|session| session_token == Some(session.token.as_str()));
        match known {
            Some(session) if session.expires > now => Ok(session.principal.clone()),
            Some(_) => Err(refused(
                if sts { "ExpiredToken" } else { "ExpiredTokenException" },
                "The security token included in the request is expired",
            )),
            None if sts => {
                Err(refused("InvalidClientTokenId", "The security token included in the request is invalid"))
            }
            None => Err(refused(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )),
        }
    }
}
