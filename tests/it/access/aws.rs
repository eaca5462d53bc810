//! `latchkey access --aws`: what AWS itself says is worth what its command line prints.

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use aws_credential_types::Credentials;
use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    routing::any,
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::found;
use crate::{
    harness::{ACCOUNT, assert_contains, eventually},
    policy::ministack::program,
};

const REGION: &str = "eu-central-1";
/// More than a page of Secrets Manager, and of Parameter Store.
const SECRETS: usize = 130;
const PARAMETERS: usize = 60;
const BOUNDARY: &str = "arn:aws:iam::111122223333:policy/edge";
const MANAGED: &str = "arn:aws:iam::111122223333:policy/parameters";

/// One service account with a role of everything that a role has, and one with a role of
/// another AWS account.
fn manifests() -> String {
    let account = |namespace: &str, role: &str| {
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app", "namespace": namespace,
            "annotations": {"eks.amazonaws.com/role-arn": role}}})
    };
    let class = |namespace: &str, objects: &str| {
        json!({"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
            "metadata": {"name": "db", "namespace": namespace},
            "spec": {"provider": "aws", "parameters": {"region": REGION, "objects": objects}}})
    };
    let pod = |namespace: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app", "namespace": namespace},
            "spec": {"serviceAccountName": "app", "containers": [{"name": "main"}], "volumes": [{"name": "s",
                "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": true, "volumeAttributes": {"secretProviderClass": "db"}}}]}})
    };
    let asked = "- {objectName: shop/secret-1, objectType: secretsmanager}\n\
        - {objectName: shop/secret-2, objectType: secretsmanager}\n\
        - {objectName: shop/secret-3, objectType: secretsmanager}\n\
        - {objectName: /shop/level-1, objectType: ssmparameter}\n\
        - {objectName: /shop/level-2, objectType: ssmparameter}\n";
    let documents = [
        account("shop", "arn:aws:iam::111122223333:role/shop"),
        class("shop", asked),
        pod("shop"),
        account("partner", "arn:aws:iam::222233334444:role/partner"),
        class("partner", "- {objectName: partner/key, objectType: secretsmanager}"),
        pod("partner"),
    ];
    documents.map(|document| format!("---\n{document}\n")).concat()
}

fn trust() -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/A"},
        "Condition": {"StringEquals": {
            "oidc.eks.eu-central-1.amazonaws.com/id/A:sub": "system:serviceaccount:shop:app",
            "oidc.eks.eu-central-1.amazonaws.com/id/A:aud": "sts.amazonaws.com"}}}]})
}

fn allow(action: &str, resource: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})
}

fn inline() -> Value {
    allow(
        "secretsmanager:GetSecretValue",
        "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/secret-1*",
    )
}

fn managed() -> Value {
    allow("ssm:GetParameters", "arn:aws:ssm:eu-central-1:111122223333:parameter/shop/*")
}

/// The boundary does not let the second parameter through.
fn boundary() -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ssm:*", "Resource": "*:parameter/shop/level-2"}]})
}

/// Lets the role read a secret that its own policies do not name.
fn resource_policy() -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue",
        "Principal": {"AWS": "arn:aws:iam::111122223333:role/shop"}, "Resource": "*"}]})
}

fn access(folder: &Path, url: &str, args: &[&str]) -> Output {
    let mut latchkey = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    latchkey.env_clear().current_dir(folder).args(["access", "manifests.yaml", "-o", "json"]).args(args);
    latchkey.env("AWS_ENDPOINT_URL", url).env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", folder);
    latchkey.env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "any").output().unwrap()
}

/// MiniStack's server, which ends with the test.
struct MiniStack {
    process: Child,
    url: String,
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl MiniStack {
    async fn start(folder: &Path) -> Option<Self> {
        let python = program("python")?;
        // A loopback address that no other test uses.
        let listener = TcpListener::bind("127.78.0.2:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let process = Command::new(python)
            .args(["-m", "ministack"])
            .current_dir(folder)
            .envs([("BIND_HOST", address.ip().to_string()), ("GATEWAY_PORT", address.port().to_string())])
            .envs([("MINISTACK_ACCOUNT_ID", ACCOUNT), ("MINISTACK_REGION", REGION)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ministack = Self { process, url: format!("http://{address}") };
        eventually("MiniStack listens", async || TcpStream::connect(address).await.ok()).await;
        Some(ministack)
    }

    /// Creates what the functions above describe, except for the boundary, which MiniStack
    /// leaves out of its answers, and returns the ARNs of the secrets.
    async fn fill(&self) -> Vec<String> {
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .endpoint_url(&self.url)
            .region(aws_config::Region::new(REGION))
            .credentials_provider(Credentials::new("AKIAEXAMPLE", "any", None, None, "test"))
            .load()
            .await;
        let iam = aws_sdk_iam::Client::new(&config);
        let policy = iam.create_policy().policy_name("parameters").policy_document(managed().to_string());
        policy.send().await.unwrap();
        let role = iam.create_role().role_name("shop").assume_role_policy_document(trust().to_string());
        role.send().await.unwrap();
        let put = iam.put_role_policy().role_name("shop").policy_name("read");
        put.policy_document(inline().to_string()).send().await.unwrap();
        iam.attach_role_policy().role_name("shop").policy_arn(MANAGED).send().await.unwrap();
        let secrets = aws_sdk_secretsmanager::Client::new(&config);
        let mut arns = Vec::new();
        for number in 0..SECRETS {
            let created = secrets.create_secret().name(format!("shop/secret-{number}")).secret_string("x");
            arns.push(created.send().await.unwrap().arn.unwrap());
        }
        let put = secrets.put_resource_policy().secret_id("shop/secret-2");
        put.resource_policy(resource_policy().to_string()).send().await.unwrap();
        let ssm = aws_sdk_ssm::Client::new(&config);
        for number in 0..PARAMETERS {
            let put = ssm.put_parameter().name(format!("/shop/level-{number}")).value("x");
            put.r#type(aws_sdk_ssm::types::ParameterType::String).send().await.unwrap();
        }
        arns
    }
}

/// The same as AWS's command line would print it.
fn files(folder: &Path, secrets: &[String]) {
    let version = json!([{"IsDefaultVersion": true, "Document": managed()}]);
    let iam = json!({
        "RoleDetailList": [{
            "Arn": "arn:aws:iam::111122223333:role/shop",
            "AssumeRolePolicyDocument": trust(),
            "RolePolicyList": [{"PolicyName": "read", "PolicyDocument": inline()}],
            "AttachedManagedPolicies": [{"PolicyArn": MANAGED}],
        }],
        "Policies": [{"Arn": MANAGED, "PolicyVersionList": version}],
    });
    std::fs::write(folder.join("iam.json"), iam.to_string()).unwrap();
    let listed =
        |(number, arn): (usize, &String)| json!({"ARN": arn, "Name": format!("shop/secret-{number}")});
    let parameter = |number| {
        let name = format!("/shop/level-{number}");
        json!({"Name": name, "ARN": format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{name}")})
    };
    let mut text =
        json!({"SecretList": secrets.iter().enumerate().map(listed).collect::<Value>()}).to_string();
    text.push_str(&json!({"Parameters": (0..PARAMETERS).map(parameter).collect::<Value>()}).to_string());
    for (number, arn) in secrets.iter().enumerate() {
        let policy = (number == 2).then(|| resource_policy().to_string());
        text.push_str(&json!({"ARN": arn, "ResourcePolicy": policy}).to_string());
    }
    std::fs::write(folder.join("secrets.json"), text).unwrap();
}

#[tokio::test]
async fn aws_and_what_its_command_line_prints_give_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let Some(ministack) = MiniStack::start(folder.path()).await else { return };
    std::fs::write(folder.path().join("manifests.yaml"), manifests()).unwrap();
    files(folder.path(), &ministack.fill().await);
    let asked = access(folder.path(), &ministack.url, &["--aws"]);
    assert_eq!(String::from_utf8_lossy(&asked.stderr), "");
    let read =
        access(folder.path(), "http://127.0.0.1:1", &["--iam", "iam.json", "--secrets", "secrets.json"]);
    assert_eq!(String::from_utf8_lossy(&read.stderr), "");
    let (asked, read) = (String::from_utf8(asked.stdout).unwrap(), String::from_utf8(read.stdout).unwrap());
    let findings = found(&asked);
    assert_eq!(findings, found(&read));
    assert!(findings.contains(&("read-denied".to_owned(), "shop/db".to_owned())), "{findings:?}");
    assert!(findings.iter().any(|(rule, _)| rule == "role-unknown"), "{findings:?}");
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(parse(&asked), parse(&read));
}

/// What AWS documents for IAM's answers, in two pages, with a policy as its text with
/// percent signs: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html>
fn iam_page(body: &str) -> String {
    let encoded = |document: &Value| {
        let bytes = document.to_string().into_bytes().into_iter();
        bytes
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect::<String>()
    };
    let policy = |arn: &str, document: &Value| {
        format!(
            "<member><Arn>{arn}</Arn><PolicyVersionList><member><IsDefaultVersion>false</IsDefaultVersion><Document>%7B%7D</Document></member><member><IsDefaultVersion>true</IsDefaultVersion><Document>{}</Document></member></PolicyVersionList></member>",
            encoded(document)
        )
    };
    let page = if body.contains("Marker=second") {
        format!(
            "<IsTruncated>false</IsTruncated><Policies>{}{}</Policies>",
            policy(MANAGED, &managed()),
            policy(BOUNDARY, &boundary())
        )
    } else {
        format!(
            "<IsTruncated>true</IsTruncated><Marker>second</Marker><RoleDetailList><member><RoleName>shop</RoleName><Arn>arn:aws:iam::111122223333:role/shop</Arn><AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument><RolePolicyList><member><PolicyName>read</PolicyName><PolicyDocument>{}</PolicyDocument></member></RolePolicyList><AttachedManagedPolicies><member><PolicyName>parameters</PolicyName><PolicyArn>{MANAGED}</PolicyArn></member></AttachedManagedPolicies><PermissionsBoundary><PermissionsBoundaryType>Policy</PermissionsBoundaryType><PermissionsBoundaryArn>{BOUNDARY}</PermissionsBoundaryArn></PermissionsBoundary></member></RoleDetailList>",
            encoded(&trust()),
            encoded(&inline())
        )
    };
    format!(
        "<GetAccountAuthorizationDetailsResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><GetAccountAuthorizationDetailsResult>{page}</GetAccountAuthorizationDetailsResult></GetAccountAuthorizationDetailsResponse>"
    )
}

/// AWS that refuses calls whose name or body contains one of these texts.
async fn aws(refused: &'static [&'static str]) -> String {
    let answer = move |headers: HeaderMap, body: String| async move {
        let target = headers.get("x-amz-target").map_or("", |target| target.to_str().unwrap());
        let is_refused = refused.iter().any(|refused| target.ends_with(refused) || body.contains(refused));
        if is_refused {
            let message = "User: arn:aws:iam::111122223333:user/jo is not authorized";
            let answer = match target {
                "" => format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
                ),
                _ => json!({"__type": "AccessDeniedException", "message": message}).to_string(),
            };
            return (StatusCode::BAD_REQUEST, answer);
        }
        let answer = match target.rsplit('.').next().unwrap() {
            "" => iam_page(&body),
            "ListSecrets" => {
                let secret = |number| json!({"ARN": format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:shop/secret-{number}-AbCdEf"), "Name": format!("shop/secret-{number}")});
                json!({"SecretList": [secret(1), secret(2), secret(3)]}).to_string()
            }
            "GetResourcePolicy" => "{}".to_owned(),
            "DescribeParameters" => {
                let parameter = |name: &str| json!({"Name": name, "ARN": format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{name}")});
                json!({"Parameters": [parameter("/shop/level-1"), parameter("/shop/level-2")]}).to_string()
            }
            other => panic!("{other}"),
        };
        (StatusCode::OK, answer)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
    url
}

/// The warnings, and the findings about the role's reads.
async fn with_refused(refused: &'static [&'static str]) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("manifests.yaml"), manifests()).unwrap();
    let url = aws(refused).await;
    let path = folder.path().to_owned();
    let output = tokio::task::spawn_blocking(move || access(&path, &url, &["--aws"])).await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{stderr}"));
    let findings = document["findings"].as_array().unwrap().iter();
    let text = |finding: &Value| {
        let (id, message) = (finding["id"].as_str().unwrap(), finding["message"].as_str().unwrap());
        format!("{id}: {message}")
    };
    (stderr, findings.map(text).filter(|text| text.starts_with("read-")).collect())
}

#[tokio::test]
async fn pages_are_joined_and_boundaries_count() {
    let (stderr, reads) = with_refused(&[]).await;
    assert_eq!(stderr, "");
    assert_eq!(reads.len(), 3, "{reads:#?}");
    for denied in ["shop/secret-2 ", "shop/secret-3 ", "/shop/level-2 "] {
        let is_denied = |read: &String| read.starts_with("read-denied") && read.contains(denied);
        assert!(reads.iter().any(is_denied), "{denied}: {reads:#?}");
    }
}

#[tokio::test]
async fn what_aws_refuses_is_unknown_and_never_guessed() {
    let denied = |action: &str| {
        format!("allow {action} for your own AWS credentials, or name what AWS's command line prints with --")
    };
    let depends = |reads: &[String], what: &str| {
        reads.iter().filter(|read| read.contains(what)).all(|read| read.starts_with("read-depends"))
    };
    let (stderr, reads) = with_refused(&["GetAccountAuthorizationDetails"]).await;
    assert_contains(&stderr, &denied("iam:GetAccountAuthorizationDetails"));
    assert_eq!(reads, Vec::<String>::new(), "without roles, nothing is said about reads");

    let (stderr, reads) = with_refused(&["Marker=second"]).await;
    assert_contains(&stderr, &denied("iam:GetAccountAuthorizationDetails"));
    assert!(!reads.is_empty() && depends(&reads, ""), "{reads:#?}");
    assert_contains(&reads.concat(), &format!("the permissions boundary {BOUNDARY}, which was not read"));

    let (stderr, reads) = with_refused(&["ListSecrets", "DescribeParameters"]).await;
    assert_contains(&stderr, &denied("secretsmanager:ListSecrets"));
    assert_contains(&stderr, &denied("ssm:DescribeParameters"));
    assert!(depends(&reads, "shop/secret-"), "{reads:#?}");

    let (stderr, reads) = with_refused(&["GetResourcePolicy"]).await;
    assert_contains(&stderr, &denied("secretsmanager:GetResourcePolicy"));
    assert_contains(&stderr, "the resource policies of 3 of 3 secrets in eu-central-1 are not known");
    assert!(depends(&reads, "shop/secret-"), "{reads:#?}");
    assert_contains(&reads.concat(), "read-denied: class shop/db asks for the parameter /shop/level-2");
}

#[test]
fn without_credentials_one_sentence_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("manifests.yaml"), manifests()).unwrap();
    let mut latchkey = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    latchkey.env_clear().env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", folder.path());
    latchkey.current_dir(folder.path()).args(["access", "manifests.yaml", "--aws"]);
    let output = latchkey.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_contains(&stderr, "cannot use your AWS credentials: log in (aws sso login)");
    let otherwise = "leave --aws out, and name what AWS's command line prints with --iam and --secrets";
    assert_contains(&stderr, otherwise);
    assert_eq!(stderr.lines().count(), 1);
}
