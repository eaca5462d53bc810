//! The driver's side: requests as the Secrets Store CSI Driver 1.6 builds them
//! (`pkg/secrets-store/nodeserver.go`, NodePublishVolume), and its answers.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use latchkey::server::protocol::{
    MountRequest, MountResponse, csi_driver_provider_client::CsiDriverProviderClient,
};
use latchkey_emulator::Emulator;
use serde_json::{Map, Value, json};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use super::{REGION, eventually};

/// The audience of IRSA's tokens.
pub(crate) const STS: &str = "sts.amazonaws.com";
/// The audience of Pod Identity's tokens.
pub(crate) const POD_IDENTITY: &str = "pods.eks.amazonaws.com";
/// Objects that are one secret.
pub(crate) const SECRET: &str = "- {objectName: shop/db, objectType: secretsmanager}";
const TOKENS: &str = "csi.storage.k8s.io/serviceAccount.tokens";

/// The codes that kubelet takes for final. After any other it keeps
/// the folder, and the pod may start with an empty volume.
pub(crate) const FINAL_CODES: [Code; 6] = [
    Code::InvalidArgument,
    Code::Unauthenticated,
    Code::PermissionDenied,
    Code::NotFound,
    Code::FailedPrecondition,
    Code::Internal,
];

/// Objects that are the secrets `many/N`.
pub(crate) fn many(numbers: Range<usize>) -> String {
    let objects =
        numbers.map(|number| format!("- {{objectName: many/{number}, objectType: secretsmanager}}\n"));
    objects.collect()
}

/// A pod as kubelet describes it to the driver.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Pod {
    /// A pod of a service account. Each number is a different pod.
    pub(crate) fn numbered(namespace: &str, service_account: &str, number: u32) -> Self {
        Self {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            name: format!("{service_account}-{number}"),
            uid: format!("00000000-0000-4000-8000-{number:012}"),
        }
    }

    /// Its volume in a kubelet folder.
    pub(crate) fn volume(&self, kubelet: &Path) -> PathBuf {
        kubelet.join(format!("pods/{}/volumes/kubernetes.io~csi/secrets/mount", self.uid))
    }
}

/// One NodePublishVolume.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) pod: Pod,
    /// The SecretProviderClass's parameters, and what the pod overrides.
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) target_path: String,
    pub(crate) permission: String,
    tokens: Tokens,
}

/// Which tokens the driver sends, and where.
#[derive(Clone, Debug)]
enum Tokens {
    /// New tokens of the pod for these audiences, among the attributes.
    Fresh(Vec<&'static str>),
    /// The same, among the secrets only, as kubelet may send them since 1.35.
    InSecrets(Vec<&'static str>),
    /// Exactly these, by audience.
    Given(BTreeMap<String, String>),
    /// This text instead of JSON.
    Raw(String),
}

impl Request {
    /// A mount of these `objects` by a pod of shop/web, which has a role by IRSA.
    pub(crate) fn new(objects: &str) -> Self {
        Self::of_pod(Pod::numbered("shop", "web", 1), objects)
    }

    /// A mount of these `objects` by a pod of pay/worker, by EKS Pod Identity.
    pub(crate) fn pod_identity(objects: &str) -> Self {
        Self::of_pod(Pod::numbered("pay", "worker", 2), objects).parameter("usePodIdentity", "true")
    }

    /// Mounts of the same `objects` by pods of shop/web, numbered from 0.
    pub(crate) fn many(count: u32, objects: &str) -> Vec<Self> {
        (0..count).map(|number| Self::new(objects).numbered(number)).collect()
    }

    /// The same mount by another pod of the service account.
    pub(crate) fn numbered(self, number: u32) -> Self {
        let pod = Pod::numbered(&self.pod.namespace, &self.pod.service_account, number);
        Self { target_path: self.target_path.replace(&self.pod.uid, &pod.uid), pod, ..self }
    }

    /// A mount by any pod.
    pub(crate) fn of_pod(pod: Pod, objects: &str) -> Self {
        let target_path =
            format!("/var/lib/kubelet/pods/{}/volumes/kubernetes.io~csi/secrets-store-inline/mount", pod.uid);
        let parameters = [("objects", objects), ("region", REGION)];
        Self {
            pod,
            parameters: parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            target_path,
            permission: "420".to_owned(),
            tokens: Tokens::Fresh(vec![STS, POD_IDENTITY]),
        }
    }

    /// Sets a parameter.
    pub(crate) fn parameter(mut self, key: &str, value: &str) -> Self {
        self.parameters.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Removes a parameter.
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.parameters.remove(key);
        self
    }

    /// The CSIDriver object's tokenRequests.
    pub(crate) fn audiences(mut self, audiences: &[&'static str]) -> Self {
        self.tokens = Tokens::Fresh(audiences.to_vec());
        self
    }

    /// Tokens among the secrets only.
    pub(crate) fn tokens_in_secrets(mut self) -> Self {
        self.tokens = Tokens::InSecrets(vec![STS, POD_IDENTITY]);
        self
    }

    /// A token of the test's own for an audience.
    pub(crate) fn token(mut self, audience: &str, token: &str) -> Self {
        self.tokens = Tokens::Given([(audience.to_owned(), token.to_owned())].into());
        self
    }

    /// A text instead of the tokens' JSON.
    pub(crate) fn raw_tokens(mut self, text: &str) -> Self {
        self.tokens = Tokens::Raw(text.to_owned());
        self
    }

    /// The default mode of the mount's files.
    pub(crate) fn permission(mut self, permission: &str) -> Self {
        permission.clone_into(&mut self.permission);
        self
    }

    /// The mount's folder.
    pub(crate) fn target(mut self, path: &Path) -> Self {
        path.to_str().unwrap().clone_into(&mut self.target_path);
        self
    }

    /// The message that the driver sends.
    pub(crate) fn message(&self, emulator: &Emulator) -> MountRequest {
        let fresh = |audiences: &[&'static str]| {
            let tokens = audiences.iter().map(|audience| {
                let Pod { namespace, service_account, name, uid } = &self.pod;
                let ttl = Duration::from_secs(3600);
                let token = emulator.token(namespace, service_account, audience, name, uid, ttl);
                ((*audience).to_owned(), token)
            });
            tokens_json(tokens)
        };
        let mut attributes: Map<String, Value> =
            self.parameters.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let mut secrets = "null".to_owned();
        let in_attributes = match &self.tokens {
            Tokens::Fresh(audiences) if audiences.is_empty() => None,
            Tokens::Fresh(audiences) => Some(fresh(audiences)),
            Tokens::Given(tokens) => Some(tokens_json(tokens.clone().into_iter())),
            Tokens::Raw(text) => Some(text.clone()),
            Tokens::InSecrets(audiences) => {
                secrets = json!({ TOKENS: fresh(audiences) }).to_string();
                None
            }
        };
        attributes.extend(in_attributes.map(|tokens| (TOKENS.to_owned(), json!(tokens))));
        attributes.insert("secretProviderClass".to_owned(), json!("class"));
        for (key, value) in [
            ("pod.namespace", &self.pod.namespace),
            ("pod.name", &self.pod.name),
            ("pod.uid", &self.pod.uid),
            ("serviceAccount.name", &self.pod.service_account),
        ] {
            attributes.insert(format!("csi.storage.k8s.io/{key}"), json!(value));
        }
        attributes.insert("csi.storage.k8s.io/ephemeral".to_owned(), json!("true"));
        MountRequest {
            attributes: Value::Object(attributes).to_string(),
            secrets,
            target_path: self.target_path.clone(),
            permission: self.permission.clone(),
            current_object_version: Vec::new(),
        }
    }
}

/// Tokens as kubelet writes them.
fn tokens_json(tokens: impl Iterator<Item = (String, String)>) -> String {
    let tokens: Map<String, Value> = tokens
        .map(|(audience, token)| {
            (audience, json!({ "token": token, "expirationTimestamp": "2036-01-01T00:00:00Z" }))
        })
        .collect();
    Value::Object(tokens).to_string()
}

/// The driver's one connection to a provider.
#[derive(Clone)]
pub(crate) struct Driver {
    client: CsiDriverProviderClient<Channel>,
}

impl Driver {
    /// Connects as soon as the socket is served.
    pub(crate) async fn connect(socket: &Path) -> Self {
        let endpoint = Endpoint::try_from(format!("unix://{}", socket.display())).unwrap();
        let channel =
            eventually("the provider serves its socket", async || endpoint.connect().await.ok()).await;
        Self { client: CsiDriverProviderClient::new(channel) }
    }

    /// The client, for other calls than Mount.
    pub(crate) fn client(&self) -> CsiDriverProviderClient<Channel> {
        self.client.clone()
    }

    /// Mounts, and checks that the driver and kubelet accept the answer.
    pub(crate) async fn mount(&self, message: MountRequest) -> Result<Answer, Status> {
        let answer = self.client().mount(message).await;
        if let Err(status) = &answer {
            assert!(FINAL_CODES.contains(&status.code()), "kubelet takes this for not final: {status}");
        }
        answer.map(|answer| Answer::of(answer.into_inner()))
    }
}

/// What the driver would write and record.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    files: BTreeMap<String, (u32, Vec<u8>)>,
    /// Version by mounted path.
    pub(crate) versions: BTreeMap<String, String>,
}

/// Paths and versions, and no contents.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answer").field(&self.versions).finish()
    }
}

impl Answer {
    /// Checks what the driver checks (`provider_client.go`, MountContent).
    fn of(response: MountResponse) -> Self {
        assert_eq!(response.error, None, "error.code becomes a metric label of the driver");
        assert_ne!(response.object_version, [], "the driver refuses an answer without versions");
        let count = response.files.len();
        let files: BTreeMap<_, _> = response
            .files
            .into_iter()
            .map(|file| {
                assert!((0..=0o777).contains(&file.mode), "mode {:o} of {}", file.mode, file.path);
                (file.path, (u32::try_from(file.mode).unwrap(), file.contents.to_vec()))
            })
            .collect();
        assert_eq!(files.len(), count, "two files have the same path");
        let versions: BTreeMap<_, _> =
            response.object_version.into_iter().map(|entry| (entry.id, entry.version)).collect();
        assert!(versions.values().all(|version| !version.is_empty()), "an empty version: {versions:?}");
        for path in files.keys() {
            assert!(versions.contains_key(path), "{path} has no version");
        }
        Self { files, versions }
    }

    /// The paths of all files.
    pub(crate) fn paths(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }

    /// The contents of a file.
    pub(crate) fn bytes(&self, path: &str) -> &[u8] {
        let file = self.files.get(path);
        &file.unwrap_or_else(|| panic!("no file {path:?} among {:?}", self.paths())).1
    }

    /// The contents of a file, which are text.
    pub(crate) fn text(&self, path: &str) -> &str {
        std::str::from_utf8(self.bytes(path)).unwrap()
    }

    /// The mode of a file.
    pub(crate) fn mode(&self, path: &str) -> u32 {
        self.bytes(path);
        self.files[path].0
    }

    /// The version of a file.
    pub(crate) fn version(&self, path: &str) -> &str {
        self.versions.get(path).unwrap_or_else(|| panic!("no version of {path:?}: {:?}", self.versions))
    }
}
