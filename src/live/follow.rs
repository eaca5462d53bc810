//! A list that is kept up to date: read once, then changed by what the API server tells.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::{client::Body, core::Status};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{Live, LiveError, Progress, Query, Resource, Scope, failure::Call, resource::encoded};

/// Seconds after which the API server ends a watch, and this asks for the next one.
const WATCH_SECONDS: u64 = 240;
/// A watch that says nothing for this long is dead.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS + 30);
/// Maximum size of one change: more than Kubernetes stores of an object.
const MAX_LINE: usize = 4 << 20;
/// Pauses after failures: the first, and the longest.
const PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// Updates that may wait for the reader.
const QUEUED: usize = 256;

/// What happened to a list.
#[derive(Debug)]
pub enum Update<T> {
    /// This is the whole list; forget what was known.
    All(Vec<T>),
    /// The object is new, or has changed.
    Put(T),
    /// The object is gone; this was its last state.
    Gone(T),
    /// The API server cannot be reached for now. It is tried again; a whole list says that
    /// this is over.
    Lost(LiveError),
}

/// The updates of a list. Dropping this ends them.
pub struct Followed<T> {
    updates: Receiver<Result<Update<T>, LiveError>>,
    task: JoinHandle<()>,
}

impl<T> Followed<T> {
    /// The next update. The first one is the whole list, or an error.
    ///
    /// # Errors
    /// If trying again would not help. Then no more updates follow.
    pub async fn next(&mut self) -> Result<Update<T>, LiveError> {
        match self.updates.recv().await {
            Some(update) => update,
            None => std::future::pending().await,
        }
    }

    /// The next update, if it is already here.
    ///
    /// # Errors
    /// See [`next`](Self::next).
    pub fn try_next(&mut self) -> Result<Option<Update<T>>, LiveError> {
        self.updates.try_recv().ok().transpose()
    }
}

impl<T> Drop for Followed<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Live {
    /// Follows a list. `keep` is as in [`list_kept`](Live::list_kept).
    pub fn follow<T, U>(
        &self,
        resource: &'static Resource,
        scope: Scope,
        fields: &'static str,
        progress: Progress,
        keep: fn(T) -> Option<U>,
    ) -> Followed<U>
    where
        T: DeserializeOwned + Send + 'static,
        U: Send + 'static,
    {
        let (sender, updates) = mpsc::channel(QUEUED);
        let live = self.clone();
        let task = tokio::spawn(async move {
            let query = Query::new(resource, &scope).with_fields(fields);
            let following = Following { live: &live, query, keep, sender };
            following.run(progress).await;
        });
        Followed { updates, task }
    }
}

struct Following<'a, T, U> {
    live: &'a Live,
    query: Query<'a>,
    keep: fn(T) -> Option<U>,
    sender: Sender<Result<Update<U>, LiveError>>,
}

/// The reader has gone.
struct NobodyReads;

impl<T: DeserializeOwned, U> Following<'_, T, U> {
    async fn run(&self, progress: Progress) {
        let mut progress = Some(progress);
        let mut began = false;
        let mut pause = PAUSE;
        loop {
            let silent = Progress::silent();
            let listed =
                self.live.list_kept(self.query, progress.as_ref().unwrap_or(&silent), self.keep).await;
            let listed = match listed {
                Ok(listed) => listed,
                Err(error @ LiveError::Unreachable(_)) if began => {
                    if self.lost(error, &mut pause).await.is_err() {
                        return;
                    }
                    continue;
                }
                Err(error) => {
                    let _ = self.sender.send(Err(error)).await;
                    return;
                }
            };
            progress = None;
            began = true;
            let mut version = listed.version;
            if self.tell(Update::All(listed.items)).await.is_err() {
                return;
            }
            loop {
                match self.watch(&mut version, &mut pause).await {
                    // Not again and again at once, if something ends each watch early.
                    Ok(Ok(())) => sleep(PAUSE).await,
                    Ok(Err(LiveError::Expired { .. })) => break,
                    // The next list tells the reader that this is over.
                    Ok(Err(error @ LiveError::Unreachable(_))) => {
                        if self.lost(error, &mut pause).await.is_err() {
                            return;
                        }
                        break;
                    }
                    Ok(Err(error)) => {
                        let _ = self.sender.send(Err(error)).await;
                        return;
                    }
                    Err(NobodyReads) => return,
                }
            }
        }
    }

    async fn lost(&self, error: LiveError, pause: &mut Duration) -> Result<(), NobodyReads> {
        self.tell(Update::Lost(error)).await?;
        sleep(*pause).await;
        *pause = (*pause * 2).min(MAX_PAUSE);
        Ok(())
    }

    async fn tell(&self, update: Update<U>) -> Result<(), NobodyReads> {
        self.sender.send(Ok(update)).await.map_err(|_| NobodyReads)
    }

    /// One watch, until the API server ends it.
    async fn watch(
        &self,
        version: &mut String,
        pause: &mut Duration,
    ) -> Result<Result<(), LiveError>, NobodyReads> {
        let call = Call::new(self.live, "watch", self.query.to_string());
        let selector = self.query.selectors();
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={}{selector}",
            self.query.path(),
            encoded(version)
        );
        let mut lines = match self.live.body(&call, &path).await {
            Ok(body) => Lines { body, buffered: BytesMut::new() },
            Err(error) => return Ok(Err(error)),
        };
        loop {
            let line = match timeout(SILENCE, lines.next()).await {
                Ok(Ok(Some(line))) => line,
                // The API server ended the watch, as it does.
                Ok(Ok(None)) | Err(_) => return Ok(Ok(())),
                Ok(Err(Broken)) => return Ok(Err(call.broken())),
            };
            match self.change(&call, &line, version) {
                Ok(Some(update)) => self.tell(update).await?,
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
            *pause = PAUSE;
        }
    }

    fn change(
        &self,
        call: &Call<'_>,
        line: &[u8],
        version: &mut String,
    ) -> Result<Option<Update<U>>, LiveError> {
        let event: Event<'_> = serde_json::from_slice(line).map_err(|_| call.unreadable())?;
        let object = event.object.get();
        if event.kind == "ERROR" {
            let status: Status = serde_json::from_str(object).map_err(|_| call.unreadable())?;
            return Err(call.refused(status.code, &status.message));
        }
        let versioned: Versioned = serde_json::from_str(object).map_err(|_| call.unreadable())?;
        *version = versioned.metadata.resource_version;
        if event.kind == "BOOKMARK" {
            return Ok(None);
        }
        let object: T = serde_json::from_str(object).map_err(|_| call.unreadable())?;
        let kept = (self.keep)(object);
        Ok(kept.map(|kept| if event.kind == "DELETED" { Update::Gone(kept) } else { Update::Put(kept) }))
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    metadata: VersionedMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionedMetadata {
    resource_version: String,
}

struct Lines {
    body: Body,
    buffered: BytesMut,
}

struct Broken;

impl Lines {
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffered[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffered.split_to(searched + end).freeze();
                self.buffered.advance(1);
                return Ok(Some(line));
            }
            searched = self.buffered.len();
            if searched > MAX_LINE {
                return Err(Broken);
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(_)) => return Err(Broken),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffered.extend_from_slice(data);
                    }
                }
            }
        }
    }
}
