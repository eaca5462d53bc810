//! Trust policies, with the claims of a real token.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use latchkey::iam::{
    Answer, Caller, Context, Document, Policies, Policy, Request,
    trust::{OidcProvider, for_pod_identity, for_role, for_token},
};
use latchkey::model::arn::RoleArn;
use serde_json::Value;

use super::ministack::{Question, decide};
use crate::harness::{ACCOUNT, STS, World};

const ROLE: &str = "arn:aws:iam::111122223333:role/web";

fn ours(trust: &Document, request: &Request) -> bool {
    let policy = Policy::parse(&trust.compact()).unwrap();
    match Policies::decide_by_resource_alone(&policy, request) {
        Answer::Allowed => true,
        Answer::Denied(_) => false,
        Answer::Depends(keys) => panic!("depends on {keys:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_service_accounts_own_token_assumes_its_role() {
    let world = World::start().await;
    let provider = OidcProvider::parse("https://oidc.eks.us-east-1.amazonaws.com/id/0123ABCD").unwrap();
    let trust = for_token(&provider, "aws", ACCOUNT, ("shop", "web"));
    let mut questions = Vec::new();
    let mut expected = Vec::new();
    for (namespace, account, audience, allowed) in [
        ("shop", "web", STS, true),
        ("shop", "web2", STS, false),
        ("shop2", "web", STS, false),
        ("shop", "web", "pods.eks.amazonaws.com", false),
    ] {
        let token = world.emulator.token(
            namespace,
            account,
            audience,
            "web-1",
            "00000000-0000-4000-8000-000000000001",
            Duration::from_secs(600),
        );
        let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        let sub = claims["sub"].as_str().unwrap();
        // Tokens carry a list; MiniStack takes the audience as a string.
        let aud = claims["aud"].as_array().unwrap()[0].as_str().unwrap();
        let (sub_key, aud_key) = (provider.key("sub"), provider.key("aud"));
        let context = Context::default().with(&sub_key, sub).with_all(&aud_key, [aud]).complete();
        let caller = Caller::WebIdentity { provider: provider.arn("aws", ACCOUNT) };
        let action = "sts:AssumeRoleWithWebIdentity";
        assert_eq!(ours(&trust, &Request::new(caller, action, ROLE, context)), allowed, "{sub} {aud}");
        questions.push(Question {
            trust: Some(serde_json::to_value(&trust).unwrap()),
            principal: provider.arn("aws", ACCOUNT),
            account: ACCOUNT.to_owned(),
            action: action.to_owned(),
            resource: ROLE.to_owned(),
            context: [(sub_key, vec![sub.to_owned()]), (aud_key, vec![aud.to_owned()])].into(),
            ..Question::default()
        });
        expected.push(if allowed { "Allow" } else { "ImplicitDeny" });
    }
    // The same trust, and another provider's token.
    questions.push(Question {
        principal: "arn:aws:iam::111122223333:oidc-provider/other".to_owned(),
        ..questions[0].clone()
    });
    expected.push("ImplicitDeny");
    if let Some(answers) = decide(&questions) {
        assert_eq!(answers, expected);
    }
}

#[test]
fn an_assumed_role_trusts_only_the_role_before_it_with_its_external_id() {
    let first = RoleArn::parse(ROLE).unwrap();
    let id = latchkey::model::principal::ExternalId::parse("shop-and-partner").unwrap();
    let trust = for_role(&first, Some(&id), true);
    let mut questions = Vec::new();
    let mut expected = Vec::new();
    for (role, external, allowed) in [
        (ROLE, Some("shop-and-partner"), true),
        (ROLE, Some("other"), false),
        (ROLE, None, false),
        ("arn:aws:iam::111122223333:role/web2", Some("shop-and-partner"), false),
    ] {
        let mut context = Context::default();
        let mut keys = std::collections::BTreeMap::new();
        if let Some(external) = external {
            context = context.with("sts:ExternalId", external);
            keys.insert("sts:ExternalId".to_owned(), vec![external.to_owned()]);
        }
        let caller = Caller::Role { arn: RoleArn::parse(role).unwrap(), session: Some("pod".to_owned()) };
        let target = "arn:aws:iam::222233334444:role/shared-reader";
        let request = Request::new(caller, "sts:AssumeRole", target, context.complete());
        assert_eq!(ours(&trust, &request), allowed, "{role} {external:?}");
        questions.push(Question {
            trust: Some(serde_json::to_value(&trust).unwrap()),
            principal: format!(
                "arn:aws:sts::111122223333:assumed-role/{}/pod",
                role.rsplit('/').next().unwrap()
            ),
            account: ACCOUNT.to_owned(),
            action: "sts:AssumeRole".to_owned(),
            resource: target.to_owned(),
            context: keys,
            ..Question::default()
        });
        expected.push(if allowed { "Allow" } else { "ImplicitDeny" });
    }
    if let Some(answers) = decide(&questions) {
        assert_eq!(answers, expected);
    }
}

/// MiniStack evaluates no service, so that only room `iam` is asked.
#[test]
fn only_pod_identity_of_the_cluster_is_trusted() {
    let arn = "arn:aws:eks:us-east-1:111122223333:cluster/example";
    let cluster = latchkey::iam::trust::ClusterArn::parse(arn).unwrap();
    for (service, source, allowed) in [
        ("pods.eks.amazonaws.com", arn, true),
        ("ec2.amazonaws.com", arn, false),
        ("pods.eks.amazonaws.com", "arn:aws:eks:us-east-1:111122223333:cluster/other", false),
    ] {
        for action in ["sts:AssumeRole", "sts:TagSession"] {
            let context = Context::default()
                .with("aws:SourceArn", source)
                .with("aws:SourceAccount", ACCOUNT)
                .complete();
            let request = Request::new(Caller::Service(service.to_owned()), action, ROLE, context);
            assert_eq!(ours(&for_pod_identity(Some(&cluster)), &request), allowed, "{service} {source}");
            let any = ours(&for_pod_identity(None), &request);
            assert_eq!(any, service == "pods.eks.amazonaws.com");
        }
    }
}
