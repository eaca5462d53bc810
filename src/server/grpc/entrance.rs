//! The way in for requests and the way out for answers: how much of either may be
//! in memory at once.
//!
//! A request waits here before its body is read; the message's length, its first
//! five bytes, says what it will take. Small requests have a lane of their own, so
//! that large ones, which take longest to read, never stand before them. An
//! answer's memory stays taken until its last byte is sent.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tonic::{body::Body, server::NamedService};
use tower::{Service, ServiceExt};

use super::lane::{Lane, Passage};
use crate::{delivery::AnswerMemory, memory::RECEIVED};

/// Largest request that is read: `objects` has 256 KiB at most, and an API server
/// keeps no object of more than 1.5 MiB.
pub(super) const MAX_REQUEST_BYTES: usize = 2 << 20;
/// Largest request that counts as small.
const SMALL_BYTES: usize = 64 << 10;
/// Every request is held three times while it is read.
const COPIES: usize = 3;
/// The compression flag and the length of a gRPC message.
const PREFIX: usize = 5;
/// The memory that a request takes until it is read; clones share it.
#[derive(Clone)]
pub(super) struct Received(#[expect(dead_code, reason = "held, not read")] Arc<Passage>);

/// The memory that an answer takes until it is sent; clones share it.
#[derive(Clone)]
pub(super) struct Answered(#[expect(dead_code, reason = "held, not read")] pub(super) Arc<AnswerMemory>);

/// A gRPC service behind the entrance.
#[derive(Clone, Debug)]
pub struct Entrance<S> {
    inner: S,
    small: Lane,
    large: Lane,
}

impl<S> Entrance<S> {
    /// Nobody waits yet.
    pub(super) fn new(inner: S) -> Self {
        let half = || Lane::new((RECEIVED / 2 / COPIES).max(MAX_REQUEST_BYTES));
        Self { inner, small: half(), large: half() }
    }
}

impl<S: NamedService> NamedService for Entrance<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Entrance<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { inner, small, large } = self.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let (body, length) = begin(body).await;
            // A longer one is refused by its length alone.
            let length = length.filter(|length| *length <= MAX_REQUEST_BYTES).unwrap_or(0);
            let lane = if length <= SMALL_BYTES { small } else { large };
            parts.extensions.insert(Received(Arc::new(lane.enter(length).await)));
            let mut response = inner.oneshot(Request::from_parts(parts, Body::new(body))).await?;
            Ok(match response.extensions_mut().remove::<Answered>() {
                Some(memory) => response.map(|body| Body::new(Sending { body, memory })),
                None => response,
            })
        })
    }
}

/// Reads until the message's length is known; `None` when it never is.
async fn begin(mut body: Body) -> (Begun, Option<usize>) {
    let mut first: Vec<Result<Frame<Bytes>, tonic::Status>> = Vec::new();
    let mut prefix: Vec<u8> = Vec::with_capacity(PREFIX);
    while prefix.len() < PREFIX {
        let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await else { break };
        let data = frame.as_ref().ok().and_then(Frame::data_ref);
        let broken = data.is_none();
        prefix.extend(data.into_iter().flatten().take(PREFIX - prefix.len()));
        first.push(frame);
        if broken {
            break;
        }
    }
    let length = prefix.get(1..PREFIX).map(|mut length| length.get_u32());
    first.reverse();
    (Begun { first, rest: body }, length.and_then(|length| usize::try_from(length).ok()))
}

/// A body whose first frames were read already; the last of them comes first.
struct Begun {
    first: Vec<Result<Frame<Bytes>, tonic::Status>>,
    rest: Body,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        match self.first.pop() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }
}

/// A body whose bytes keep their memory until the last of them is gone.
struct Sending {
    body: Body,
    memory: Answered,
}

/// Bytes with their memory.
struct Counted {
    bytes: Bytes,
    _memory: Answered,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map_ok(|frame| {
            frame.map_data(|bytes| Bytes::from_owner(Counted { bytes, _memory: self.memory.clone() }))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
