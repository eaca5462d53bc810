//! AWS and the EKS Pod Identity agent, emulated over HTTP on one address:
//! Secrets Manager, Parameter Store, SQS, STS and the agent, with AWS's own requests,
//! answers, errors and rules for staging labels, from a YAML [`Store`]. Changes of secrets
//! and parameters become events, which rules of EventBridge send to queues.
//!
//! The demo, the tests and people on kind or minikube use it. It protects nothing: it
//! does not verify the signatures of requests, and it keeps everything in memory.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use latchkey_emulator::{Emulator, Store};
//!
//! let emulator = Emulator::new(Store::from_yaml("secrets: [{name: shop/db, value: s3cr3t}]")?);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("http://{}", listener.local_addr()?);
//! tokio::spawn(emulator.clone().serve(listener, std::future::pending()));
//! // … point clients at `url`, then:
//! assert_eq!(emulator.call_counts().get("GetSecretValue"), None);
//! # Ok(()) }
//! ```

mod access;
mod agent;
mod arn;
mod authority;
mod calls;
mod changes;
mod clock;
mod connection;
mod control;
mod events;
mod faults;
mod ids;
mod jwks;
mod parameters;
mod parameters_api;
mod principal;
mod queues;
mod queues_api;
mod request;
mod rules;
mod secrets;
mod secrets_api;
mod server;
mod store;
mod sts;
#[cfg(test)]
mod tests;
mod tokens;
mod wire;
mod world;

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

pub use self::{
    authority::{Authority, AuthorityError},
    calls::Call,
    connection::Connections,
    events::{EventFault, EventFaultKind, RuleError},
    faults::{Fault, FaultId, FaultKind},
    parameters::ParameterType,
    queues::QueueDepth,
    secrets::SecretData,
    store::{Store, StoreError},
    tokens::ISSUER,
    wire::AwsError,
};
use self::{
    calls::CallLog,
    clock::{Clock, unix_seconds},
    connection::{Acceptor, Counts},
    faults::Faults,
    request::Incoming,
    store::IssuerTrust,
    tokens::{Issuers, SignatureVerifier, Signers, TokenSubject, Unchecked},
    world::World,
};

/// A handle to one emulator; clones share it.
#[derive(Clone)]
pub struct Emulator {
    inner: Arc<Inner>,
}

struct Inner {
    world: Mutex<World>,
    log: Mutex<CallLog>,
    faults: Mutex<Faults>,
    connections: Counts,
    issuers: Mutex<Issuers>,
    signers: Mutex<Signers>,
    clock: Clock,
}

impl Inner {
    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    fn log(&self) -> MutexGuard<'_, CallLog> {
        lock(&self.log)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    fn issuers(&self) -> Issuers {
        lock(&self.issuers).clone()
    }
}

/// A panic elsewhere leaves the emulated world usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Emulator")
    }
}

impl Emulator {
    /// An emulator of what the store describes. Its clock moves with tokio's clock, also
    /// when a test has paused that clock.
    pub fn new(store: Store) -> Self {
        let clock = Clock::new();
        // This cannot fail: `Store::from_yaml` has built this world before, and a default
        // store is empty.
        let world = store.world(clock.now()).unwrap_or_else(|_| World::empty());
        let signers = Signers::new();
        let mut issuers = Issuers::new(signers.clone());
        for (issuer, trust) in store.issuers() {
            issuers.trust(
                issuer.to_owned(),
                match trust {
                    IssuerTrust::Keys(keys) => Arc::new(keys.clone()),
                    IssuerTrust::Unchecked => Arc::new(Unchecked),
                },
            );
        }
        Self {
            inner: Arc::new(Inner {
                world: Mutex::new(world),
                log: Mutex::default(),
                faults: Mutex::default(),
                connections: Counts::default(),
                issuers: Mutex::new(issuers),
                signers: Mutex::new(signers),
                clock,
            }),
        }
    }

    /// Serves everything on one address until `shutdown` completes, which also ends calls
    /// that hang or wait. Several listeners may serve one emulator.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let acceptor = Acceptor::plain(self.clone(), listener);
        server::serve(self, acceptor, shutdown).await
    }

    /// Serves over TLS, with the certificate of `server` (see [`Authority`]).
    ///
    /// Opening a connection takes two `round_trip`s, one for TCP and one for TLS 1.3, as
    /// if the client were that far away.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve_tls(
        self,
        listener: tokio::net::TcpListener,
        server: Arc<rustls::ServerConfig>,
        round_trip: Duration,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let acceptor = Acceptor::tls(self.clone(), listener, server, round_trip);
        server::serve(self, acceptor, shutdown).await
    }

    /// The connections since the start or the last
    /// [`reset_connections`](Self::reset_connections).
    pub fn connections(&self) -> Connections {
        self.inner.connections.so_far()
    }

    pub fn reset_connections(&self) {
        self.inner.connections.reset();
    }

    /// The last 100,000 calls since the start or the last
    /// [`reset_calls`](Self::reset_calls), in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.inner.log().calls()
    }

    pub fn call_counts(&self) -> BTreeMap<String, u64> {
        self.inner.log().counts()
    }

    /// The highest number of calls that were open at the same time.
    pub fn max_calls_at_once(&self) -> usize {
        self.inner.log().most_open()
    }

    /// Resets the calls, the counts and the high-water mark.
    pub fn reset_calls(&self) {
        self.inner.log().reset();
    }

    /// Delays every call, or every call of one operation. The delay of an operation
    /// replaces the general delay; zero removes it.
    pub fn set_delay(&self, operation: Option<&str>, delay: Duration) {
        self.inner.faults().set_delay(operation, delay);
    }

    /// Injects a fault. If several faults match a call, the oldest applies.
    pub fn inject(&self, fault: Fault) -> FaultId {
        self.inner.faults().inject(fault)
    }

    pub fn remove_fault(&self, id: FaultId) {
        self.inner.faults().remove(id);
    }

    /// Removes all faults, but no delay.
    pub fn clear_faults(&self) {
        self.inner.faults().clear();
    }

    /// A signed, projected service account token, as kubelet writes it.
    pub fn token(
        &self,
        namespace: &str,
        service_account: &str,
        audience: &str,
        pod_name: &str,
        pod_uid: &str,
        ttl: Duration,
    ) -> String {
        let subject = TokenSubject { namespace, service_account, audience, pod_name, pod_uid };
        let signer = lock(&self.inner.signers).newest();
        signer.token(&subject, unix_seconds(self.now()), ttl)
    }

    /// A token with these claims, signed with the emulator's key.
    pub fn sign_token(&self, claims: &serde_json::Value) -> String {
        lock(&self.inner.signers).newest().sign(claims)
    }

    /// The public keys of the emulator's own tokens. The emulator serves them at
    /// `/openid/v1/jwks`, as a cluster's API server does.
    pub fn token_keys(&self) -> String {
        lock(&self.inner.signers).jwks()
    }

    /// Signs tokens with a new key from now on. Tokens of the old keys stay valid.
    pub fn rotate_token_key(&self) {
        self.change_token_keys(Signers::rotate);
    }

    /// Removes all keys but the newest. Tokens of the removed keys become invalid.
    pub fn retire_token_keys(&self) {
        self.change_token_keys(Signers::retire);
    }

    fn change_token_keys(&self, change: impl FnOnce(&mut Signers)) {
        let mut signers = lock(&self.inner.signers);
        change(&mut signers);
        self.trust_issuer(ISSUER, Arc::new(signers.clone()));
    }

    /// Accepts the tokens of an issuer whose signatures this verifies.
    fn trust_issuer(&self, issuer: &str, verifier: Arc<dyn SignatureVerifier>) {
        lock(&self.inner.issuers).trust(issuer.to_owned(), verifier);
    }

    /// The emulator's time: the machine's time at the start, plus the time that has passed
    /// on tokio's clock.
    pub fn now(&self) -> SystemTime {
        self.inner.clock.now()
    }

    fn new_request_id(&self) -> String {
        self.inner.world().ids.uuid()
    }

    /// Records that a call has arrived.
    fn note(&self, incoming: &Incoming, request_id: &str) -> Noted {
        let mut call = incoming.to_call();
        call.request_id = request_id.to_owned();
        if let Some((principal, role)) = request::signer(self, incoming) {
            call.principal = Some(principal);
            call.role = role;
        }
        tracing::debug!(
            operation = call.operation,
            region = call.region,
            targets = ?call.targets,
            principal = call.principal,
            "emulator: call"
        );
        let number = self.inner.log().arrived(call.clone());
        Noted { emulator: self.clone(), number, call }
    }
}

/// A recorded call. It counts as open until this is dropped, also when the client
/// disconnects before the answer.
struct Noted {
    emulator: Emulator,
    number: u64,
    call: Call,
}

impl Noted {
    fn answered(&self, status: u16, error: Option<&str>) {
        self.emulator.inner.log().update(self.number, |call| {
            call.status = Some(status);
            call.error = error.map(str::to_owned);
        });
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.emulator.inner.log().left();
    }
}
