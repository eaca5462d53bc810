//! Receives from one queue, and deletes from it. Each queue has tasks of its own, so that one
//! that fails never holds up another.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sqs::{Client, config::Builder, error::SdkError, types::DeleteMessageBatchRequestEntry};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{Sender, UnboundedReceiver},
    },
    time::sleep,
};

use super::{
    event::{self, News},
    place::QueueUrl,
};
use crate::{
    aws::{Aws, AwsFailure, FailureKind, retry_partition},
    metrics::{Dropped, NoticesFailure, NoticesMetrics},
    model::message::logged,
    notices::Area,
};

const RECEIVE: &str = "sqs:ReceiveMessage";
const DELETE: &str = "sqs:DeleteMessage";
/// Messages for one call, by SQS's limit.
const BATCH: u32 = 10;
/// Messages of one queue that are held until they are deleted.
const MAX_HELD: usize = 2_000;
/// How long a call waits for a message, by SQS's limit.
const LONG_POLL: Duration = Duration::from_secs(20);
/// How long nobody else gets a message. It comes again if this process ends.
const INVISIBLE: Duration = Duration::from_secs(30);
/// Pauses after a failed call. They double from the shortest to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A queue, and how it is.
pub(super) struct Queue {
    pub(super) url: QueueUrl,
    client: Client,
    credentials: Option<SharedCredentialsProvider>,
    metrics: Arc<NoticesMetrics>,
    /// Whose events may come, through this queue or another one.
    covers: Arc<[Area]>,
    /// Bounds the messages that are held.
    room: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last receive succeeded.
    receives: bool,
    /// Why the last receive failed.
    problem: Option<String>,
    /// The last delete failed.
    undeleted: bool,
}

/// A message that was received. Its body may be large, and is not kept.
pub(super) struct Message {
    pub(super) news: Result<News, Dropped>,
    pub(super) receipt: Receipt,
}

/// What deletes a message. Until then it takes room.
pub(super) struct Receipt {
    pub(super) queue: usize,
    handle: String,
    _room: OwnedSemaphorePermit,
}

impl Queue {
    pub(super) fn new(
        url: QueueUrl,
        aws: &Aws,
        credentials: Option<SharedCredentialsProvider>,
        metrics: Arc<NoticesMetrics>,
        covers: Arc<[Area]>,
    ) -> Self {
        let mut config = Builder::from(&aws.config_for(url.region()))
            .retry_partition(retry_partition())
            .timeout_config(crate::aws::timeouts_beyond(LONG_POLL));
        config.set_credentials_provider(credentials.clone());
        let client = Client::from_conf(config.build());
        let room = Arc::new(Semaphore::new(MAX_HELD));
        Self { url, client, credentials, metrics, covers, room, state: Mutex::default() }
    }

    /// Whether the last receive succeeded.
    pub(super) fn receives(&self) -> bool {
        self.state().receives
    }

    /// Why the last receive failed.
    pub(super) fn problem(&self) -> Option<String> {
        self.state().problem.clone()
    }

    /// Forgets how the queue was: nobody receives from it now.
    pub(super) fn rest(&self) {
        *self.state() = State::default();
    }

    /// Receives until the other end of `messages` is gone. Sends each result, also one
    /// without messages. `number` is this queue's number for its receipts.
    pub(super) async fn receive(&self, number: usize, messages: Sender<Vec<Message>>) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let Ok(room) = Arc::clone(&self.room).acquire_many_owned(BATCH).await else { return };
            // A short call says at once whether the queue can be received from.
            let wait = if self.receives() { LONG_POLL } else { Duration::ZERO };
            let received = self.receive_batch(number, wait, room).await;
            let failed = received.is_err();
            self.tell(received.as_ref().err()).await;
            if messages.send(received.unwrap_or_default()).await.is_err() {
                return;
            }
            if failed {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else {
                pause = SHORTEST_PAUSE;
            }
        }
    }

    async fn receive_batch(
        &self,
        number: usize,
        wait: Duration,
        mut room: OwnedSemaphorePermit,
    ) -> Result<Vec<Message>, AwsFailure> {
        let received = self
            .client
            .receive_message()
            .queue_url(self.url.as_str())
            .max_number_of_messages(BATCH as i32)
            .wait_time_seconds(wait.as_secs() as i32)
            .visibility_timeout(INVISIBLE.as_secs() as i32)
            .send()
            .await
            .map_err(|error| self.failure(RECEIVE, &error))?;
        let mut messages = Vec::new();
        for message in received.messages.unwrap_or_default() {
            // What has no receipt cannot be deleted, and comes again.
            if let (Some(handle), Some(permit)) = (message.receipt_handle, room.split(1)) {
                let receipt = Receipt { queue: number, handle, _room: permit };
                let body = message.body.unwrap_or_default();
                let news = event::read(&body, |area| self.covers.contains(area));
                messages.push(Message { news, receipt });
            }
        }
        Ok(messages)
    }

    /// Remembers how the last receive ended. The log has each change once.
    async fn tell(&self, failure: Option<&AwsFailure>) {
        let problem = match failure {
            Some(failure) => Some(self.explained(failure).await),
            None => None,
        };
        let mut state = self.state();
        match (&problem, &state.problem) {
            (Some(problem), None) => {
                let area = self.url.area();
                tracing::warn!(queue = %self.url, "no notices for account {} in {}, whose nodes go back to their normal interval: {problem}", area.account, area.region);
            }
            (None, Some(_)) => tracing::info!(queue = %self.url, "the queue can be received from again"),
            _ => {}
        }
        if problem.is_some() {
            self.metrics.failures.count(NoticesFailure::Receive);
        }
        state.receives = problem.is_none();
        state.problem = problem;
    }

    /// Deletes what comes until there is nobody who sends.
    pub(super) async fn delete(&self, mut receipts: UnboundedReceiver<Vec<Receipt>>) {
        while let Some(receipts) = receipts.recv().await {
            self.delete_all(&receipts).await;
        }
    }

    /// Deletes messages. One that cannot be deleted comes again, and is known.
    pub(super) async fn delete_all(&self, receipts: &[Receipt]) {
        for batch in receipts.chunks(BATCH as usize) {
            let result = self.delete_batch(batch).await;
            let mut state = self.state();
            match &result {
                Err(problem) if !state.undeleted => tracing::warn!(
                    queue = %self.url,
                    "messages stay in the queue and come again, though nodes were told: {problem}. Further failures are only counted"
                ),
                Ok(()) if state.undeleted => {
                    tracing::info!(queue = %self.url, "messages can be deleted again")
                }
                _ => {}
            }
            if result.is_err() {
                self.metrics.failures.count(NoticesFailure::Delete);
            }
            state.undeleted = result.is_err();
        }
    }

    async fn delete_batch(&self, receipts: &[Receipt]) -> Result<(), String> {
        let entries = receipts.iter().enumerate().filter_map(|(number, receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder();
            entry.id(number.to_string()).receipt_handle(&receipt.handle).build().ok()
        });
        let sent = self.client.delete_message_batch().queue_url(self.url.as_str());
        match sent.set_entries(Some(entries.collect())).send().await {
            Ok(answer) => match answer.failed().first() {
                Some(entry) => Err(format!("{DELETE} failed: {}", logged(&entry.code()))),
                None => Ok(()),
            },
            Err(error) => Err(self.explained(&self.failure(DELETE, &error)).await),
        }
    }

    fn failure<E>(&self, operation: &'static str, error: &SdkError<E, HttpResponse>) -> AwsFailure
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        AwsFailure::of(operation, self.url.region(), error)
    }

    /// What failed, and what to do.
    async fn explained(&self, failure: &AwsFailure) -> String {
        let operation = failure.operation;
        let advice = match failure.kind {
            FailureKind::Denied | FailureKind::KmsDenied => format!(
                "Allow {operation} on the queue in the policy of the role that this Deployment runs as, and check that the queue's own policy does not deny it (latchkey notices --print-setup prints both)"
            ),
            FailureKind::NotFound | FailureKind::Invalid | FailureKind::Unusable if self.has_credentials().await => {
                "Check --queue-url: the queue's name, account and Region".to_owned()
            }
            FailureKind::Throttled => "This passes".to_owned(),
            _ if !self.has_credentials().await => {
                "This Deployment has no AWS credentials: give its service account a role, by Pod Identity or IRSA".to_owned()
            }
            FailureKind::StaleCredentials | FailureKind::TokenRefused | FailureKind::TokenUnverified => {
                "Check the role of this Deployment's service account".to_owned()
            }
            _ => "Check the network path to SQS: DNS, routes (NAT or a VPC endpoint of SQS), security groups, network policies, proxy".to_owned(),
        };
        logged(&format_args!("{failure}. {advice}"))
    }

    /// The SDK does not say that it has none.
    async fn has_credentials(&self) -> bool {
        match &self.credentials {
            Some(credentials) => credentials.provide_credentials().await.is_ok(),
            None => false,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
