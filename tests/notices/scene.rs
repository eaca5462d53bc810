//! AWS over TLS, the API server, and the processes of `latchkey notices` between them.

use std::{path::PathBuf, time::Duration};

use latchkey_emulator::{Authority, Emulator, Store};
use tokio::{net::TcpListener, time::Instant};

use crate::{
    cluster::{Cluster, NAMESPACE, NOTICES, SYSTEM},
    harness::{ACCOUNT, REGION, free_address},
    plan::Plan,
    process::Process,
};

/// A node of the specification: 110 pods of 22 service accounts with 5 secrets each.
pub(crate) const PODS: usize = 110;
pub(crate) const ACCOUNTS: usize = 22;
pub(crate) const SECRETS: usize = 5;
/// The emulator lets its bearer do everything.
const ADMINISTRATOR: &str = "AKIAEXAMPLEADMIN0001";
const ROLE: &str = "arn:aws:iam::111122223333:role/shop";
/// How long AWS takes for an answer.
const LATENCY: Duration = Duration::from_millis(10);

pub(crate) struct Scene {
    pub(crate) plan: Plan,
    pub(crate) emulator: Emulator,
    pub(crate) cluster: Cluster,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) queue: String,
    pub(crate) folder: PathBuf,
    /// What the provider's container has in its environment.
    pub(crate) provider_variables: Vec<(String, String)>,
    pub(crate) began: Instant,
    aws: Vec<(String, String)>,
}

impl Scene {
    pub(crate) async fn start(plan: Plan, chart: Vec<(String, String)>) -> Self {
        let (folder, kubeconfig) = (plan.folder.clone(), plan.kubeconfig.clone());
        let cluster = Cluster::connect(&kubeconfig).await;
        cluster.add_namespace().await;
        std::fs::write(folder.join("keys.json"), cluster.keys().await).unwrap();
        let store = format!(
            "{{staticKeys: [{{accessKeyId: {ADMINISTRATOR}}}], issuers: [{{issuer: '{}', jwksFile: {}}}]}}",
            plan.issuer,
            folder.join("keys.json").display()
        );
        let emulator = Emulator::new(Store::from_yaml(&store).unwrap());
        emulator.set_delay(Some("GetSecretValue"), LATENCY);
        emulator.allow(ROLE, "secretsmanager:GetSecretValue", "*");
        let subjects: Vec<_> = (0..ACCOUNTS)
            .map(|number| format!("system:serviceaccount:{NAMESPACE}:{}", account(number)))
            .collect();
        emulator.set_trust(ROLE, &subjects.iter().map(String::as_str).collect::<Vec<_>>());
        for number in 0..ACCOUNTS {
            cluster.add_account(&account(number), ROLE).await;
            for index in 0..SECRETS {
                emulator.put_secret(REGION, &secret(number, index), "first");
            }
        }
        let queue = emulator.queue_of_changes(REGION, "changes");

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let authority = Authority::new().unwrap();
        let server = authority.server(&["127.0.0.1".to_owned()]).unwrap();
        let bundle = folder.join("bundle.pem");
        std::fs::write(&bundle, authority.pem()).unwrap();
        tokio::spawn(emulator.clone().serve_tls(listener, server, Duration::ZERO, std::future::pending()));
        let aws = [("AWS_ENDPOINT_URL", url), ("AWS_CA_BUNDLE", bundle.display().to_string())];
        let aws = aws.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let region = ("AWS_REGION".to_owned(), REGION.to_owned());
        let provider_variables = chart.into_iter().chain(aws.clone()).chain([region]).collect();
        let began = Instant::now();
        Self { plan, emulator, cluster, kubeconfig, queue, folder, provider_variables, began, aws }
    }

    /// A process of `latchkey notices`.
    pub(crate) async fn broker(&self, name: &str) -> Process {
        let arguments = [
            "notices".to_owned(),
            format!("--object={SYSTEM}/{NOTICES}"),
            format!("--identity={name}"),
            format!("--queue-url={}", self.queue),
            format!("--kubeconfig={}", self.kubeconfig.display()),
        ];
        let mut variables = self.aws.clone();
        for (name, value) in [("AWS_ACCESS_KEY_ID", ADMINISTRATOR), ("AWS_SECRET_ACCESS_KEY", "anything")] {
            variables.push((name.to_owned(), value.to_owned()));
        }
        Process::start(name, free_address([127, 78, 4, 2]).await, &self.folder, &arguments, &variables)
    }

    /// Sends an event about a secret that nobody holds, or what is no event at all.
    pub(crate) fn send_foreign(&self, number: usize) {
        let body = if number % 10 == 9 {
            "{\"neither\": an event".to_owned()
        } else {
            serde_json::json!({
                "version": "0", "id": format!("id-{number}"), "detail-type": "Secret Label Updated",
                "source": "aws.secretsmanager", "account": ACCOUNT, "time": "2026-11-27T14:00:00Z",
                "region": REGION,
                "resources": [format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:flood/{number}-AbCdEf")],
                "detail": { "name": format!("flood/{number}"), "labelUpdated": "AWSCURRENT", "versionId": "v" },
            })
            .to_string()
        };
        assert!(self.emulator.send_message(&self.queue, &body));
    }

    /// Messages that are not deleted yet.
    pub(crate) fn queued(&self) -> usize {
        let depth = self.emulator.queue_depth(&self.queue);
        depth.visible + depth.in_flight + depth.delayed
    }
}

pub(crate) fn account(number: usize) -> String {
    format!("app-{number}")
}

pub(crate) fn secret(account: usize, index: usize) -> String {
    format!("shop/{account}/{index}")
}
