//! The answers to the driver, which the pod's event shows: each through the real
//! server, with AWS's own words.

use std::time::Duration;

use latchkey_emulator::FaultKind;

use super::{Table, Who, stable};
use crate::harness::{Behaviour, Pod, Request, SECRET, STS, WEB, World};

const PARAMETER: &str = "- {objectName: /shop/x, objectType: ssmparameter}";
const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/0a1b";

impl Table {
    /// Adds the answer to a mount.
    async fn mount(&mut self, cause: &str, who: Who, world: &World, request: &Request) {
        let status = world.refusal(request).await;
        self.row(cause, who, &format!("`{:?}` {}", status.code(), stable(status.message())));
    }

    /// Adds the answer to a mount when `operation` fails with this code and message.
    async fn answer(&mut self, who: Who, operation: &str, request: &Request, (code, message): (&str, &str)) {
        let world = world().await;
        let kind = FaultKind::Error { status: 400, code: code.to_owned(), message: message.to_owned() };
        world.fault(operation, kind);
        self.mount(code, who, &world, request).await;
    }
}

pub(crate) async fn world() -> World {
    let world = World::start().await;
    world.secret("shop/db", r#"{"user":"shop","db.host":"x","n":1}"#);
    world.secret("shop/text", "plain");
    world.parameter("/shop/x", "v");
    world
}

#[tokio::test(start_paused = true)]
async fn the_answers_to_mounts_match_the_table() {
    let mut table = Table::new(
        "What a mount is answered",
        "The driver shows it in the pod's event. `LATCHKEY_WRITE_MESSAGES=1 cargo test --test it messages` writes this file.",
    );
    classes(&mut table).await;
    identities(&mut table).await;
    tokens(&mut table).await;
    objects(&mut table).await;
    denials(&mut table).await;
    outages(&mut table).await;
    table.compare("table.md");
}

/// Mounts of classes with mistakes.
pub(crate) fn wrong_classes() -> Vec<(&'static str, Request)> {
    let class = Request::new;
    let object =
        |more: &str| Request::new(&format!("- {{objectName: shop/db, objectType: secretsmanager{more}}}"));
    vec![
        ("objects is no YAML", class("- [")),
        ("objects is no list", class("objectName: a")),
        ("no objectType", class("- {objectName: a}")),
        ("a mistyped objectType", class("- {objectName: a, objectType: secretmanager}")),
        (
            "an ARN of another Region",
            class("- {objectName: 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:a-AbCdEf'}"),
        ),
        ("no Region's name", class(SECRET).parameter("region", "Frankfurt")),
        ("a mistyped usePodIdentity", class(SECRET).parameter("usePodIdentity", "yes")),
        ("a role's name for its ARN", class(SECRET).parameter("roleArn", "web")),
        ("a mistyped identity key", class(SECRET).parameter("assume_role_arn", WEB)),
        ("a file mode in letters", object(", filePermission: rw-r--r--")),
        ("a path out of the volume", object(", objectAlias: ../x")),
        (
            "two files of one name",
            class(&format!("{SECRET}\n- {{objectName: shop_db, objectType: secretsmanager}}")),
        ),
        ("no JMESPath", object(", jmesPath: [{path: 'a[', objectAlias: x}]")),
        ("no alias for a field", object(", jmesPath: [{path: a}]")),
        (
            "failoverObject without failoverRegion",
            object(", objectAlias: x, failoverObject: {objectName: b}"),
        ),
        ("a failover Region that is the primary one", object("").parameter("failoverRegion", "us-east-1")),
        ("a refreshInterval out of bounds", object("").parameter("refreshInterval", "1s")),
        ("podInfoOnMount is off", {
            let mut request = object("");
            request.pod.uid.clear();
            request
        }),
    ]
}

async fn classes(table: &mut Table) {
    table.section("The class is wrong");
    let world = world().await;
    let object =
        |more: &str| Request::new(&format!("- {{objectName: shop/db, objectType: secretsmanager{more}}}"));
    for (cause, request) in wrong_classes() {
        table.mount(cause, Who::Author, &world, &request).await;
    }
    let strict = World::with(|config| config.rules = latchkey::model::rules::Rules::default()).await;
    table
        .mount(
            "roleArn without --allow-role-arn",
            Who::Operator,
            &strict,
            &object("").parameter("roleArn", WEB),
        )
        .await;
}

async fn identities(table: &mut Table) {
    table.section("The pod has no identity");
    let world = world().await;
    let worker = || Request::of_pod(Pod::numbered("pay", "worker", 1), SECRET);
    table.mount("no token came", Who::Operator, &world, &Request::new(SECRET).audiences(&[])).await;
    table.mount("neither annotation nor association", Who::Author, &world, &worker().audiences(&[STS])).await;
    table
        .mount(
            "no annotation, and usePodIdentity is false",
            Who::Author,
            &world,
            &worker().parameter("usePodIdentity", "false"),
        )
        .await;
    let request = Request::new(SECRET);
    let token = |account: &str, audience: &str, uid: &str, ttl: u64| {
        world.emulator.token("shop", account, audience, "web-1", uid, Duration::from_secs(ttl))
    };
    let uid = request.pod.uid.clone();
    for (cause, token) in [
        ("the token is another account's", token("admin", STS, &uid, 3600)),
        ("the token is for another audience", token("web", "vault", &uid, 3600)),
        ("the token is another pod's", token("web", STS, "00000000-0000-4000-8000-000000000009", 3600)),
        ("the token has expired", token("web", STS, &uid, 0)),
        ("the token is none", "nonsense".to_owned()),
    ] {
        table.mount(cause, Who::Operator, &world, &request.clone().token(STS, &token)).await;
    }
    let other = latchkey_emulator::Emulator::new(latchkey_emulator::Store::default());
    let forged = other.token("shop", "web", STS, "web-1", &uid, Duration::from_secs(3600));
    table
        .mount("the token is not signed by the cluster", Who::Operator, &world, &request.token(STS, &forged))
        .await;

    let request = Request::of_pod(Pod::numbered("shop", "bad", 1), SECRET);
    table.mount("the service account is gone", Who::Author, &world, &request).await;
    world.kubernetes.annotate("shop", "bad", "web");
    table.mount("the annotation is no ARN", Who::Author, &world, &request).await;
    for (cause, who, behaviour) in [
        ("Latchkey may not read the service account", Who::Operator, Behaviour::Refuse(403)),
        ("the Kubernetes API fails", Who::Nobody, Behaviour::Refuse(500)),
        ("the Kubernetes API is silent", Who::Nobody, Behaviour::Hang),
        ("something else answers for the Kubernetes API", Who::Operator, Behaviour::Garbage),
    ] {
        world.kubernetes.behave(behaviour);
        let request = Request::of_pod(Pod::numbered("shop", "new", 1), SECRET);
        table.mount(cause, who, &world, &request).await;
    }
    let nowhere = World::start().await;
    table.mount("no Region is known", Who::Operator, &nowhere, &Request::new(SECRET).without("region")).await;
}

async fn tokens(table: &mut Table) {
    table.section("AWS gives no credentials");
    let web = world().await;
    web.emulator.set_trust(WEB, &[]);
    let irsa = Request::new(SECRET);
    table.mount("the role does not trust the service account", Who::Account, &web, &irsa).await;
    for (who, answer) in [
        (
            Who::Account,
            (
                "AccessDenied",
                "User: x is not authorized to perform: sts:AssumeRoleWithWebIdentity on resource: arn:aws:iam::111122223333:role/web with an explicit deny in a service control policy",
            ),
        ),
        (
            Who::Nobody,
            (
                "ExpiredTokenException",
                "Token expired: current date/time 1 must be before the expiration date/time 0",
            ),
        ),
        (
            Who::Account,
            (
                "InvalidIdentityToken",
                "No OpenIDConnect provider found in your account for https://oidc.eks.us-east-1.amazonaws.com/id/1",
            ),
        ),
        (Who::Account, ("InvalidIdentityToken", "Incorrect token audience")),
        (
            Who::Account,
            (
                "InvalidIdentityToken",
                "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
            ),
        ),
        (
            Who::Nobody,
            (
                "InvalidIdentityToken",
                "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements",
            ),
        ),
        (Who::Account, ("InvalidIdentityToken", "something new")),
        (Who::Nobody, ("IDPCommunicationError", "the identity provider did not answer")),
        (Who::Nobody, ("IDPRejectedClaim", "the claim was rejected")),
        (
            Who::Account,
            (
                "RegionDisabledException",
                "STS is not activated in this region for account:111122223333. Your account administrator can activate STS in this region using the IAM Console.",
            ),
        ),
        (Who::Author, ("ValidationError", "Request ARN is invalid")),
    ] {
        table.answer(who, "AssumeRoleWithWebIdentity", &irsa, answer).await;
    }
    let agent = Request::pod_identity(SECRET);
    for (who, answer) in [
        (Who::Account, ("ResourceNotFoundException", "(ResourceNotFoundException): no association")),
        (
            Who::Account,
            (
                "AccessDeniedException",
                "(AccessDeniedException): Unauthorized Exception! EKS does not have permissions to assume the associated role.",
            ),
        ),
        (
            Who::Operator,
            (
                "AccessDeniedException",
                "(AccessDeniedException): User: arn:aws:sts::111122223333:assumed-role/node/i-1 is not authorized to perform: eks-auth:AssumeRoleForPodIdentity on resource: arn:aws:eks:us-east-1:111122223333:cluster/c because no identity-based policy allows the eks-auth:AssumeRoleForPodIdentity action",
            ),
        ),
        (Who::Nobody, ("ExpiredTokenException", "(ExpiredTokenException): expired")),
        (Who::Operator, ("InvalidTokenException", "(InvalidTokenException): unknown issuer")),
    ] {
        table.answer(who, "PodIdentityCredentials", &agent, answer).await;
    }
    let reader = "arn:aws:iam::222233334444:role/reader";
    for (cause, request) in [
        ("the role to take on does not trust the pod's (IRSA)", Request::new(SECRET)),
        ("the role to take on does not trust the pod's (EKS Pod Identity)", Request::pod_identity(SECRET)),
    ] {
        let world = world().await;
        table.mount(cause, Who::Account, &world, &request.parameter("assumeRoleArn", reader)).await;
    }
}

async fn objects(table: &mut Table) {
    table.section("An object cannot be read or used");
    let world = world().await;
    world.secret("shop/gone", "x");
    world.emulator.delete_secret("us-east-1", "shop/gone").unwrap();
    let secret = |name: &str, more: &str| {
        Request::new(&format!("- {{objectName: {name}, objectType: secretsmanager{more}}}"))
    };
    for (cause, who, request) in [
        ("no such secret", Who::Author, secret("shop/none", "")),
        ("the name has an ARN's suffix", Who::Author, secret("shop/db-AbCdEf", "")),
        (
            "no such ARN",
            Who::Author,
            secret("'arn:aws:secretsmanager:us-east-1:111122223333:secret:shop/none-AbCdEf'", ""),
        ),
        ("never rotated", Who::Author, secret("shop/db", ", objectVersionLabel: AWSPREVIOUS")),
        ("no such label", Who::Author, secret("shop/db", ", objectVersionLabel: blue")),
        (
            "no such version",
            Who::Author,
            secret("shop/db", ", objectVersion: 00000000-0000-4000-8000-000000000000"),
        ),
        ("scheduled for deletion", Who::Account, secret("shop/gone", "")),
        (
            "no such parameter",
            Who::Author,
            Request::new("- {objectName: /shop/none, objectType: ssmparameter}"),
        ),
        (
            "no such version of a parameter",
            Who::Author,
            Request::new("- {objectName: '/shop/x:9', objectType: ssmparameter}"),
        ),
        ("not JSON", Who::Author, secret("shop/text", ", jmesPath: [{path: a, objectAlias: b}]")),
        ("no such field", Who::Author, secret("shop/db", ", jmesPath: [{path: password, objectAlias: b}]")),
        (
            "a field with a dot, unquoted",
            Who::Author,
            secret("shop/db", ", jmesPath: [{path: db.host, objectAlias: b}]"),
        ),
        ("not so encoded", Who::Author, secret("shop/text", ", encoding: hex")),
    ] {
        table.mount(cause, who, &world, &request).await;
    }
    let none = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
    table
        .answer(Who::Account, "GetSecretValue", &secret("shop/db", ""), ("ResourceNotFoundException", none))
        .await;
    let small = World::with(|config| config.rules.limits.max_response_bytes = 4).await;
    small.secret("shop/db", "hunter2");
    table.mount("too large", Who::Author, &small, &secret("shop/db", "")).await;
}

async fn denials(table: &mut Table) {
    table.section("AWS denies an object");
    let arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:shop/db-AbCdEf";
    let action = "secretsmanager:GetSecretValue";
    let user =
        "User: arn:aws:sts::111122223333:assumed-role/web/latchkey-shop.web is not authorized to perform:";
    let request = Request::new(SECRET);
    let denied = |reason: &str| format!("{user} {action} on resource: {arn}{reason}");
    let mut messages = vec![denied(""), denied(" with an explicit deny")];
    for policy in [
        "identity-based policy",
        "resource-based policy",
        "permissions boundary",
        "session policy",
        "service control policy",
        "resource control policy",
        "VPC endpoint policy",
    ] {
        messages.push(denied(&format!(" because no {policy} allows the {action} action")));
        messages.push(denied(&format!(" with an explicit deny in a {policy}")));
    }
    messages.push(format!(
        "{user} {action} on resource: shop/db because no identity-based policy allows the {action} action"
    ));
    messages.push(denied("").replace("111122223333:secret", "222233334444:secret"));
    for message in messages {
        table.answer(Who::Account, "GetSecretValue", &request, ("AccessDeniedException", &message)).await;
    }
    let named = format!(
        "{user} kms:Decrypt on resource: {KEY} because no identity-based policy allows the kms:Decrypt action"
    );
    let foreign = format!(
        "{user} kms:Decrypt on resource: {KEY} because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
    );
    let disabled = format!(
        "Secrets Manager can't decrypt the secret value: {KEY} is disabled. (Service: AWSKMS; Status Code: 400; Error Code: DisabledException)"
    );
    let pending =
        format!("{KEY} is pending deletion. (Service: AWSKMS; Error Code: KMSInvalidStateException)");
    for (operation, objects, answer) in [
        ("GetSecretValue", SECRET, ("AccessDeniedException", "Access to KMS is not allowed")),
        ("GetParameters", PARAMETER, ("AccessDeniedException", named.as_str())),
        ("GetParameters", PARAMETER, ("AccessDeniedException", foreign.as_str())),
        (
            "GetParameters",
            PARAMETER,
            (
                "AccessDeniedException",
                "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access. (Service: AWSKMS)",
            ),
        ),
        ("GetSecretValue", SECRET, ("DecryptionFailure", disabled.as_str())),
        ("GetParameters", PARAMETER, ("InvalidKeyId", pending.as_str())),
        ("GetParameters", PARAMETER, ("InvalidKeyId", "the key is of no use")),
        ("GetSecretValue", SECRET, ("OptInRequired", "You are not subscribed to this service")),
        (
            "GetSecretValue",
            SECRET,
            ("UnrecognizedClientException", "The security token included in the request is invalid."),
        ),
        (
            "GetSecretValue",
            SECRET,
            ("ExpiredTokenException", "The security token included in the request is expired"),
        ),
        (
            "GetSecretValue",
            SECRET,
            ("InvalidSignatureException", "Signature expired: 1 is now earlier than 2"),
        ),
        (
            "GetSecretValue",
            SECRET,
            (
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided.",
            ),
        ),
        ("GetSecretValue", SECRET, ("MissingAuthenticationTokenException", "Missing Authentication Token")),
    ] {
        table.answer(Who::Account, operation, &Request::new(objects), answer).await;
    }
}

async fn outages(table: &mut Table) {
    table.section("AWS, or the way to it, fails");
    let error = |status: u16, code: &str| FaultKind::Error {
        status,
        code: code.to_owned(),
        message: "later".to_owned(),
    };
    for (operation, request) in [
        ("GetSecretValue", Request::new(SECRET)),
        ("GetSecretValue", Request::new(SECRET).parameter("failoverRegion", "us-west-2")),
        ("GetParameters", Request::new(PARAMETER)),
        ("AssumeRoleWithWebIdentity", Request::new(SECRET)),
        ("PodIdentityCredentials", Request::pod_identity(SECRET)),
    ] {
        for (cause, kind) in [
            ("AWS fails", FaultKind::InternalError),
            ("AWS throttles", FaultKind::Throttle),
            ("the connection breaks", FaultKind::Reset),
            ("no answer", FaultKind::Hang),
            ("an answer that is none", FaultKind::GarbageBody),
            ("AWS is away for a while", error(503, "ServiceUnavailable")),
        ] {
            let world = world().await;
            world.fault(operation, kind);
            table.mount(cause, Who::Nobody, &world, &request).await;
        }
    }
    let hasty = World::with(|config| config.mount_timeout = Duration::from_secs(5)).await;
    hasty.fault("AssumeRoleWithWebIdentity", FaultKind::Hang);
    table.mount("the mount takes too long", Who::Nobody, &hasty, &Request::new(SECRET)).await;
}
