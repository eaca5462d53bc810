//! Tokens, service accounts, roles and principals by the thousand.

use latchkey::server::protocol::MountRequest;

use super::EVIL;
use crate::{
    harness::{ACCOUNT, POD_IDENTITY, REGION, STS},
    node::{filler, names, objects},
    play::Case,
    siege::Siege,
};

const OBJECTS: &str = "- {objectName: evil/small, objectType: secretsmanager}";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("invalid-tokens", "6,000 tokens that nobody signed, of 1 KiB and of 256 KiB", |siege| {
            Box::pin(invalid_tokens(siege))
        })
        .driver_writes(),
        Case::new("many-accounts", "3,000 service accounts with a role", |siege| {
            Box::pin(many_accounts(siege))
        })
        .driver_writes(),
        Case::new("unknown-accounts", "3,000 service accounts that Kubernetes does not know", |siege| {
            Box::pin(unknown_accounts(siege))
        })
        .driver_writes(),
        Case::new("many-roles", "3,000 roles of the author's own naming", |siege| {
            Box::pin(many_roles(siege, "roleArn"))
        })
        .driver_writes()
        .flags(&["--allow-role-arn=true"]),
        Case::new("many-chained-roles", "3,000 roles to assume, of the author's own naming", |siege| {
            Box::pin(many_roles(siege, "assumeRoleArn"))
        })
        .driver_writes(),
        Case::new("many-pods", "3,000 pods by EKS Pod Identity", |siege| Box::pin(many_pods(siege)))
            .driver_writes(),
    ]
}

async fn invalid_tokens(siege: Siege) {
    use data_encoding::BASE64URL_NOPAD as BASE64URL;
    let token = |number: usize| {
        let claims = serde_json::json!({
            "sub": format!("system:serviceaccount:{EVIL}:nobody"),
            "aud": [STS, POD_IDENTITY],
            "exp": 4_102_444_800_u64,
            "iss": filler(number, if number.is_multiple_of(200) { 192 << 10 } else { 700 }),
        });
        let header = format!(r#"{{"alg":"RS256","kid":"forged-{number}"}}"#);
        let part = |text: &str| BASE64URL.encode(text.as_bytes());
        format!("{}.{}.{}", part(&header), part(&claims.to_string()), part("signature"))
    };
    let messages = (0..6000).map(|number| {
        let request = siege.node.request(EVIL, "nobody", OBJECTS);
        request.token([STS, POD_IDENTITY][number % 2], &token(number)).message(&siege.node.emulator)
    });
    let messages: Vec<MountRequest> = messages.collect();
    siege.mount_for_ever(messages, 64).await;
}

async fn many_accounts(siege: Siege) {
    let accounts = names("many", 3000);
    siege.node.tenant(EVIL, &accounts);
    siege.node.emulator.put_secret(REGION, "evil/small", "x");
    let messages: Vec<MountRequest> =
        accounts.iter().map(|account| siege.node.message(EVIL, account, OBJECTS)).collect();
    siege.mount_for_ever(messages, 64).await;
}

async fn unknown_accounts(siege: Siege) {
    let accounts = names("unknown", 3000);
    let messages: Vec<MountRequest> =
        accounts.iter().map(|account| siege.node.message(EVIL, account, OBJECTS)).collect();
    siege.mount_for_ever(messages, 64).await;
}

async fn many_roles(siege: Siege, parameter: &str) {
    siege.node.tenant(EVIL, &["one"]);
    let messages = (0..3000).map(|number| {
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{}", filler(number, 60));
        siege.node.request(EVIL, "one", OBJECTS).parameter(parameter, &role).message(&siege.node.emulator)
    });
    let messages: Vec<MountRequest> = messages.collect();
    siege.mount_for_ever(messages, 64).await;
}

async fn many_pods(siege: Siege) {
    siege.node.tenant(EVIL, &["one"]);
    siege.node.emulator.set_association(EVIL, "one", Some(&format!("arn:aws:iam::{ACCOUNT}:role/{EVIL}")));
    for number in 0..10 {
        siege.node.emulator.put_secret(REGION, &format!("evil/{number}"), filler(number, 4096));
    }
    let class =
        objects((0..10).map(|number| format!("objectName: evil/{number}, objectType: secretsmanager")));
    let messages = (0..3000).map(|_| {
        siege
            .node
            .request(EVIL, "one", &class)
            .parameter("usePodIdentity", "true")
            .message(&siege.node.emulator)
    });
    let messages: Vec<MountRequest> = messages.collect();
    siege.mount_for_ever(messages, 64).await;
}
