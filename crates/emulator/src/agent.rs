//! The EKS Pod Identity agent: `GET /v1/credentials` with a service account token, and
//! EKS Auth behind it. Unlike the real agent, it caches nothing.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::{
    arn::role_parts,
    clock::{iso_timestamp, unix_seconds},
    tokens::{Issuers, TokenError},
    wire::AwsError,
    world::World,
};

/// The audience of Pod Identity's tokens.
pub(super) const AUDIENCE: &str = "pods.eks.amazonaws.com";

/// Why the agent refuses.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The agent refuses, with this status and plain text.
    Agent(u16, String),
    /// EKS Auth refuses, and the agent prints its error.
    Upstream(AwsError),
}

/// Issues credentials of the role that the token's service account is associated with.
///
/// # Errors
/// The agent's own refusals first, then those of EKS Auth
/// (<https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html>).
pub(super) fn credentials(
    world: &mut World,
    issuers: &Issuers,
    token: &str,
    now: SystemTime,
) -> Result<Value, Refusal> {
    if token.is_empty() {
        return Err(Refusal::Agent(400, "Service account token cannot be empty".to_owned()));
    }
    let upstream = |code: &str, message: &str, status: u16| {
        Refusal::Upstream(AwsError::front_end(code, message).with_status(status))
    };
    let claims = issuers.verify(token).map_err(|error| match error {
        TokenError::NotAJwt => Refusal::Agent(
            400,
            "Service account token cannot be parsed: token is malformed: token contains an invalid number of segments"
                .to_owned(),
        ),
        TokenError::UnknownIssuer | TokenError::Forged => upstream(
            "InvalidTokenException",
            "The token included in the request is invalid",
            400,
        ),
    })?;
    if claims.exp <= unix_seconds(now) {
        return Err(Refusal::Agent(
            400,
            "Service account token failed basic claim validations: token has invalid claims: token is expired"
                .to_owned(),
        ));
    }
    if !claims.aud.contains(AUDIENCE) {
        return Err(upstream(
            "InvalidTokenException",
            "The audience of the token included in the request is invalid",
            400,
        ));
    }
    let role_arn = claims
        .service_account()
        .and_then(|(namespace, name)| world.associations.get(&(namespace.to_owned(), name.to_owned())))
        .cloned()
        .ok_or_else(|| {
            upstream(
                "ResourceNotFoundException",
                "No pod identity association was found for the service account",
                404,
            )
        })?;
    if !world.roles.contains_key(&role_arn) {
        return Err(upstream(
            "AccessDeniedException",
            "Unauthorized Exception! EKS does not have permissions to assume the associated role.",
            400,
        ));
    }
    let session_name = session_name(&world.cluster, &claims.kubernetes.pod.name, &world.ids.uuid());
    let length = world.pod_identity_session;
    let session = world
        .open_session(&role_arn, &session_name, true, length, now)
        .ok_or_else(|| upstream("InvalidRequestException", "The associated role is not a role", 400))?;
    Ok(json!({
        "AccessKeyId": session.access_key,
        "SecretAccessKey": session.secret_key,
        "Token": session.token,
        "AccountId": role_parts(&role_arn).map_or("", |(_, account, _)| account),
        "Expiration": iso_timestamp(session.expires),
    }))
}

/// `eks-{cluster}-{pod}-{uuid}`, cut to the 64 characters of a session name.
fn session_name(cluster: &str, pod: &str, uuid: &str) -> String {
    let room = 64 - "eks---".len() - uuid.len();
    let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let (cluster, pod) = (cut(cluster, room / 2), cut(pod, room - room / 2));
    format!("eks-{cluster}-{pod}-{uuid}")
}
