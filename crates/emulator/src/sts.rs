//! STS: AssumeRoleWithWebIdentity (IRSA), AssumeRole and GetCallerIdentity. Requests are
//! query strings, answers are XML.

use std::time::{Duration, SystemTime};

use super::{
    access::{Caller, Resource, authorize, is_root_of},
    arn::role_parts,
    clock::{iso_timestamp, unix_seconds},
    ids::role_id,
    principal::Principal,
    tokens::{Claims, Issuers, TokenError},
    wire::{AwsError, xml_text},
    world::{NewSession, Role, World},
};

/// The audience of IRSA's tokens.
pub(super) const AUDIENCE: &str = "sts.amazonaws.com";
const SHORTEST: u64 = 900;
const LONGEST: u64 = 43_200;
/// The maximum duration of a session that another session opens.
const LONGEST_CHAINED: Duration = Duration::from_secs(3600);

/// A query request's fields.
pub(super) struct Query<'a>(pub(super) &'a [(String, String)]);

impl<'a> Query<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    fn required(&self, name: &str) -> Result<&'a str, AwsError> {
        let mut field = name.to_owned();
        field[..1].make_ascii_lowercase();
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            validation(format!(
                "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
            ))
        })
    }

    fn session_name(&self) -> Result<&'a str, AwsError> {
        let name = self.required("RoleSessionName")?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if !(2..=64).contains(&name.len()) || !name.chars().all(allowed) {
            return Err(validation(format!(
                "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
            )));
        }
        Ok(name)
    }

    fn external_id(&self) -> Result<Option<&'a str>, AwsError> {
        let Some(id) = self.get("ExternalId") else { return Ok(None) };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
        let constraint = if !(2..=1224).contains(&id.len()) {
            "Member must have length between 2 and 1224"
        } else if !id.chars().all(allowed) {
            "Member must satisfy regular expression pattern: [\\w+=,.@:\\/-]*"
        } else {
            return Ok(Some(id));
        };
        Err(validation(format!(
            "1 validation error detected: Value '{id}' at 'externalId' failed to satisfy constraint: {constraint}"
        )))
    }

    fn duration(&self, longest: Duration) -> Result<Duration, AwsError> {
        let Some(text) = self.get("DurationSeconds") else {
            return Ok(longest.min(LONGEST_CHAINED));
        };
        let bad = |bound: &str| {
            validation(format!(
                "1 validation error detected: Value '{text}' at 'durationSeconds' failed to satisfy constraint: Member must have value {bound}"
            ))
        };
        let seconds = text.parse().unwrap_or(0);
        if seconds < SHORTEST {
            return Err(bad("greater than or equal to 900"));
        }
        if seconds > LONGEST {
            return Err(bad("less than or equal to 43200"));
        }
        let duration = Duration::from_secs(seconds);
        if duration > longest {
            return Err(validation(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ));
        }
        Ok(duration)
    }
}

/// Opens a session for a service account's token and returns the result's XML.
///
/// # Errors
/// The errors that STS would return: `InvalidIdentityToken`, `ExpiredTokenException`,
/// `AccessDenied`, `ValidationError`.
pub(super) fn assume_role_with_web_identity(
    world: &mut World,
    issuers: &Issuers,
    query: &Query<'_>,
    now: SystemTime,
) -> Result<String, AwsError> {
    let role_arn = query.required("RoleArn")?;
    let session_name = query.session_name()?;
    let token = query.required("WebIdentityToken")?;
    let claims = issuers.verify(token).map_err(|error| refused_token(error, token))?;
    let exp = claims.exp;
    let current = unix_seconds(now);
    if exp <= current {
        return Err(AwsError::front_end(
            "ExpiredTokenException",
            format!(
                "Token expired: current date/time {current} must be before the expiration date/time {exp}"
            ),
        ));
    }
    if !claims.aud.contains(AUDIENCE) {
        return Err(invalid_token("Incorrect token audience"));
    }
    let role = world.roles.get(role_arn).filter(|role| role.service_accounts.contains(&claims.sub));
    let Some(role) = role else {
        return Err(AwsError::front_end(
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        )
        .with_status(403));
    };
    let length = query.duration(role.max_session)?;
    let session = world.open_session(role_arn, session_name, false, length, now).ok_or_else(bad_arn)?;
    let (partition, account, _) = role_parts(role_arn).ok_or_else(bad_arn)?;
    let issuer = claims.iss.trim_start_matches("https://");
    Ok(format!(
        "{}    <SubjectFromWebIdentityToken>{}</SubjectFromWebIdentityToken>\n    <Audience>{AUDIENCE}</Audience>\n    \
         <Provider>arn:{partition}:iam::{account}:oidc-provider/{}</Provider>\n",
        session_xml(role_arn, session_name, &session),
        xml_text(&claims.sub),
        xml_text(issuer),
    ))
}

/// Opens a session of another role for a signed caller. The session inherits transitive
/// session tags
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_role-chaining>).
///
/// # Errors
/// `AccessDenied` when the role's trust or the caller's own policy does not
/// allow it, `ValidationError`.
pub(super) fn assume_role(world: &mut World, caller: &Caller, query: &Query<'_>) -> Result<String, AwsError> {
    let role_arn = query.required("RoleArn")?;
    let session_name = query.session_name()?;
    let external_id = query.external_id()?;
    let principal = &caller.principal;
    let denied = |action: &str, reason: &str| {
        AwsError::front_end(
            "AccessDenied",
            format!(
                "User: {} is not authorized to perform: {action} on resource: {role_arn}{reason}",
                principal.arn(&caller.region)
            ),
        )
        .with_status(403)
    };
    let (_, account, _) = role_parts(role_arn).ok_or_else(bad_arn)?;
    let role = world.roles.get(role_arn).ok_or_else(|| denied("sts:AssumeRole", ""))?;
    let trust = trust_in(role, principal, external_id);
    // If the trust policy names the caller's role in the same account, the caller needs no
    // policy. If it names an account, or a role of another account, the caller needs one.
    let resource = Resource {
        named: Some(role_arn),
        candidates: vec![role_arn.to_owned()],
        account: principal.account(),
        allowed_by_policy: &[],
    };
    let check = |action: &str| {
        let verdict = authorize(world, caller, action, &resource);
        if verdict.as_ref().is_err_and(AwsError::is_explicit_deny) {
            return Err(denied(action, " with an explicit deny in an identity-based policy"));
        }
        let identity_allows = verdict.is_ok();
        let allowed = trust.by_name && (account == principal.account() || identity_allows)
            || trust.by_account && identity_allows;
        if allowed { Ok(()) } else { Err(denied(action, "")) }
    };
    check("sts:AssumeRole")?;
    let (is_chained, transitive_tags) = match principal {
        Principal::Role { transitive_tags, .. } => (true, *transitive_tags),
        Principal::Administrator { .. } => (false, false),
    };
    if transitive_tags {
        check("sts:TagSession")?;
        if !role.tag_session {
            return Err(denied("sts:TagSession", ""));
        }
    }
    let length = query.duration(role.max_session)?;
    if is_chained && length > LONGEST_CHAINED {
        return Err(validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        ));
    }
    let session = world
        .open_session(role_arn, session_name, transitive_tags, length, caller.now)
        .ok_or_else(bad_arn)?;
    Ok(session_xml(role_arn, session_name, &session))
}

/// How a role's trust policy refers to a caller.
struct Trust {
    by_name: bool,
    by_account: bool,
}

fn trust_in(role: &Role, principal: &Principal, external_id: Option<&str>) -> Trust {
    let mut trust = Trust { by_name: false, by_account: false };
    for one in &role.principals {
        if one.external_id.is_some() && one.external_id.as_deref() != external_id {
            continue;
        }
        trust.by_name |= Some(one.arn.as_str()) == principal.role_arn();
        trust.by_account |= one.arn == principal.account() || is_root_of(&one.arn, principal.account());
    }
    trust
}

/// Answers GetCallerIdentity.
pub(super) fn get_caller_identity(caller: &Caller) -> String {
    let principal = &caller.principal;
    let arn = principal.arn(&caller.region);
    let id = match principal {
        Principal::Role { role_arn, session_arn, .. } => {
            let session = session_arn.rsplit('/').next().unwrap_or_default();
            format!("{}:{session}", role_id(role_arn))
        }
        Principal::Administrator { .. } => "AIDAEMULATEDADMINISTR".to_owned(),
    };
    format!(
        "    <Arn>{}</Arn>\n    <UserId>{}</UserId>\n    <Account>{}</Account>\n",
        xml_text(&arn),
        xml_text(&id),
        xml_text(principal.account())
    )
}

/// The unverified claims of a token, only for the record of calls.
pub(super) fn claimed_subject(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let bytes = data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
    serde_json::from_slice::<Claims>(&bytes).ok().map(|claims| claims.sub)
}

fn session_xml(role_arn: &str, session_name: &str, session: &NewSession) -> String {
    format!(
        "    <AssumedRoleUser>\n      <AssumedRoleId>{}:{}</AssumedRoleId>\n      <Arn>{}</Arn>\n    </AssumedRoleUser>\n    \
         <Credentials>\n      <AccessKeyId>{}</AccessKeyId>\n      <SecretAccessKey>{}</SecretAccessKey>\n      \
         <SessionToken>{}</SessionToken>\n      <Expiration>{}</Expiration>\n    </Credentials>\n",
        role_id(role_arn),
        xml_text(session_name),
        xml_text(&session.session_arn),
        session.access_key,
        session.secret_key,
        session.token,
        iso_timestamp(session.expires),
    )
}

fn refused_token(error: TokenError, token: &str) -> AwsError {
    match error {
        TokenError::NotAJwt => invalid_token(
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        ),
        TokenError::UnknownIssuer => invalid_token(&format!(
            "No OpenIDConnect provider found in your account for {}",
            claimed_issuer(token).unwrap_or_default()
        )),
        TokenError::Forged => invalid_token(
            "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements",
        ),
    }
}

fn claimed_issuer(token: &str) -> Option<String> {
    let bytes = data_encoding::BASE64URL_NOPAD.decode(token.split('.').nth(1)?.as_bytes()).ok()?;
    serde_json::from_slice::<Claims>(&bytes).ok().map(|claims| claims.iss)
}

fn invalid_token(message: &str) -> AwsError {
    AwsError::front_end("InvalidIdentityToken", message)
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::front_end("ValidationError", message)
}

fn bad_arn() -> AwsError {
    validation("Request ARN is invalid")
}
