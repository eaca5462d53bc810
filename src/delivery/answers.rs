//! Driver-writes: the answer to the driver carries the files.

use std::sync::Arc;

use super::{Delivered, NotDelivered};
use crate::{
    model::request::MountRequest,
    shape::{Material, Shaper, Subject},
    shares::{Share, Shares},
    values::Read,
};

/// Bytes of answers that are sent at once. They share the driver's one connection: what
/// one namespace is sent stands before what another waits for.
const SENT_AT_ONCE: usize = 1 << 20;
/// An answer is held twice: the values, and the message that carries them.
const COPIES: usize = 2;

/// Makes answers with files.
pub struct Answers {
    shaper: Shaper,
    sending: Arc<Shares>,
}

/// The memory of an answer, held until it is sent.
#[derive(Debug)]
pub struct AnswerMemory {
    _values: Option<Share>,
    _files: Share,
    _sending: Share,
}

impl Answers {
    pub fn new(shaper: Shaper) -> Self {
        Self { shaper, sending: Shares::new(SENT_AT_ONCE) }
    }

    pub(super) async fn deliver(
        &self,
        request: &MountRequest,
        read: Read,
        subject: &Subject,
    ) -> Result<Delivered, NotDelivered> {
        let Read { objects: found, entries, memory: values, mut turn, .. } = read;
        let material = Material { objects: &request.class.objects, found, entries: &entries, subject };
        let (shaped, files) = self.shaper.shape(material, COPIES, &mut turn).await?;
        drop(turn);
        // Two answers are sent at once however large they are, so that a short one is
        // not held up by a long one.
        let sent = shaped.bytes().min(SENT_AT_ONCE / 2);
        let sending = self.sending.take(&subject.namespace, sent).await;
        let memory = AnswerMemory { _values: values, _files: files, _sending: sending };
        Ok(Delivered { files: shaped.files, found: shaped.found, answer: Some(memory) })
    }
}
