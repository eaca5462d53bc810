//! Who is asking and what they may do: principals, sessions, and the allow-lists
//! that stand in for IAM policies.

use std::time::SystemTime;

use super::{
    arn::{Arn, matches_pattern, partition_of, role_parts},
    wire::{AwsError, Service},
    world::World,
};

/// Who credentials stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Principal {
    /// A session of a role; its allow-list decides.
    Role {
        role_arn: String,
        session_arn: String,
        /// Whether it carries session tags that go on to every role that it takes
        /// on, as those of EKS Pod Identity do.
        transitive_tags: bool,
    },
    /// A static key without a role: an administrator of one account.
    Administrator { account: String },
}

impl Principal {
    pub(super) fn account(&self) -> &str {
        match self {
            Self::Role { role_arn, .. } => role_parts(role_arn).map_or("", |(_, account, _)| account),
            Self::Administrator { account } => account,
        }
    }

    /// The ARN that errors and CloudTrail name.
    pub(super) fn arn(&self, region: &str) -> String {
        match self {
            Self::Role { session_arn, .. } => session_arn.clone(),
            Self::Administrator { account } => {
                format!("arn:{}:iam::{account}:user/administrator", partition_of(region))
            }
        }
    }

    pub(super) fn role_arn(&self) -> Option<&str> {
        match self {
            Self::Role { role_arn, .. } => Some(role_arn),
            Self::Administrator { .. } => None,
        }
    }
}

/// Credentials that the emulator handed out.
pub(super) struct Session {
    pub(super) token: String,
    pub(super) principal: Principal,
    pub(super) expires: SystemTime,
}

/// One statement of a role's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) deny: bool,
    pub(super) actions: Vec<String>,
    pub(super) resources: Vec<String>,
}

impl Rule {
    fn covers(&self, action: &str, candidates: &[String]) -> bool {
        let action = action.to_ascii_lowercase();
        self.actions.iter().any(|pattern| matches_pattern(&pattern.to_ascii_lowercase(), &action))
            && self
                .resources
                .iter()
                .any(|pattern| candidates.iter().any(|candidate| matches_pattern(pattern, candidate)))
    }
}

/// What an action is about to touch.
pub(super) struct Resource<'a> {
    /// As the error message names it; `None` for actions without a resource.
    pub(super) named: Option<&'a str>,
    /// The texts that a rule's pattern may match: name, ARN, ARN without suffix.
    pub(super) candidates: Vec<String>,
    /// The account that owns it.
    pub(super) account: &'a str,
    /// Role ARNs or accounts that its own policy allows.
    pub(super) allowed_by_policy: &'a [String],
}

/// A verified caller of one request.
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

/// Decides as IAM does: an explicit deny wins; within an account the identity's
/// or the resource's policy is enough; between accounts both must allow
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

/// The parts of a SigV4 `Authorization` header that the emulator looks at. The
/// signature itself is not computed: a client that holds an access key of the
/// emulator got it from the emulator or from the store.
pub(super) struct Scope {
    pub(super) access_key: String,
    pub(super) region: String,
    pub(super) service: String,
}

impl Scope {
    /// Reads `AWS4-HMAC-SHA256 Credential=AKID/date/region/service/aws4_request, …`.
    ///
    /// # Errors
    /// `MissingAuthenticationToken…` without a header, `IncompleteSignature…` for
    /// a header that is not SigV4, as AWS's front end answers.
    pub(super) fn from_header(header: Option<&str>, service: Service) -> Result<Self, AwsError> {
        let json = service != Service::Sts;
        let Some(header) = header else {
            return Err(if json {
                AwsError::front_end("MissingAuthenticationTokenException", "Missing Authentication Token")
            } else {
                AwsError::front_end("MissingAuthenticationToken", "Request is missing Authentication Token")
                    .with_status(403)
            });
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
    /// Who the access key and session token of a signed request stand for.
    ///
    /// # Errors
    /// The front end's answers to an unknown, mismatched or expired key.
    pub(super) fn principal_of(
        &self,
        scope: &Scope,
        session_token: Option<&str>,
        service: Service,
        now: SystemTime,
    ) -> Result<Principal, AwsError> {
        let sts = service == Service::Sts;
        if scope.service != service.signing_name() {
            let code = if sts { "SignatureDoesNotMatch" } else { "InvalidSignatureException" };
            let message =
                format!("Credential should be scoped to correct service: '{}'. ", service.signing_name());
            return Err(AwsError::front_end(code, message).with_status(if sts { 403 } else { 400 }));
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
            Some(_) if sts => Err(AwsError::front_end(
                "ExpiredToken",
                "The security token included in the request is expired",
            )
            .with_status(403)),
            Some(_) => Err(AwsError::front_end(
                "ExpiredTokenException",
                "The security token included in the request is expired",
            )),
            None if sts => Err(AwsError::front_end(
                "InvalidClientTokenId",
                "The security token included in the request is invalid",
            )
            .with_status(403)),
            None => Err(AwsError::front_end(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )),
        }
    }
}
