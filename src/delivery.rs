//! Delivers a mount's files, all or nothing: in the answer to the driver, or into the
//! pod's volume.

mod answers;
mod volumes;

use std::{path::PathBuf, sync::Arc, time::Duration};

pub use self::{
    answers::{AnswerMemory, Answers},
    volumes::{Means, Volumes},
};
use crate::{
    model::{
        file::MountFile,
        message::causes,
        objects::Objects,
        principal::Principal,
        reason::Reason,
        request::{MountRequest, Pod},
    },
    shape::{NotShaped, Subject},
    shares::{Refused, Shares},
    values::{Entry, Found, Read},
    writer::{WriteError, Written},
};

/// Who writes the files into the pod.
pub enum Delivery {
    /// The driver does; the answer carries the contents.
    DriverWrites(Answers),
    /// Latchkey does, at every mount and as soon as the poller sees a change; the
    /// answer carries the versions only.
    ProviderWrites(Box<Volumes>),
}

/// What was delivered.
#[derive(Debug)]
pub struct Delivered {
    pub files: Vec<MountFile>,
    /// What each object's files were made from.
    pub found: Vec<Found>,
    /// The memory of the contents in the answer; `None` if they are in the pod already.
    pub answer: Option<AnswerMemory>,
}

/// Why nothing was delivered. The files of earlier mounts are still in place.
#[derive(Debug, thiserror::Error)]
pub enum NotDelivered {
    /// The objects do not become files.
    #[error("{0}; nothing was changed in the pod")]
    Objects(#[from] NotShaped),
    /// The pod's volume cannot be written.
    #[error("cannot write into the pod's volume: {}", causes(.0))]
    Write(#[from] WriteError),
    /// The node's volumes take as much memory as they may.
    #[error(
        "the volumes of namespace {namespace} hold {held} bytes of this node's memory for volumes, and {asked} more do not fit: all namespaces hold {taken} of {max} bytes. Mount less in this namespace's pods on this node, or raise Latchkey's memory limit (chart value resources.limits.memory, flag --memory-limit); nothing was changed in the pod",
        held = refused.held, asked = refused.asked, taken = refused.taken, max = refused.max
    )]
    Memory { namespace: String, refused: Refused },
}

/// A volume whose files changed between mounts.
pub struct Rewritten {
    pub pod: Pod,
    pub class: String,
    pub target_path: PathBuf,
    pub result: Result<NewFiles, NotDelivered>,
}

/// What was written into a volume between mounts.
pub struct NewFiles {
    pub written: Written,
    /// Who the objects were read as.
    pub principal: Principal,
    pub objects: Arc<Objects>,
    pub delivered: Delivered,
}

impl NotDelivered {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Objects(error) => error.reason(),
            Self::Write(_) => Reason::WriteFailed,
            Self::Memory { .. } => Reason::VolumesFull,
        }
    }
}

impl Delivery {
    /// Checks that the files can be delivered, before AWS is asked for them.
    ///
    /// # Errors
    /// What is wrong with the folder.
    pub async fn check(&self, request: &MountRequest) -> Result<(), NotDelivered> {
        match self {
            Self::DriverWrites(_) => Ok(()),
            Self::ProviderWrites(volumes) => Ok(volumes.check(request).await?),
        }
    }

    /// Makes files of what was read, and delivers them. `read.turn` is released before
    /// anything is waited for.
    ///
    /// # Errors
    /// Why nothing was delivered.
    pub async fn deliver(
        &self,
        request: MountRequest,
        read: Read,
        subject: Subject,
    ) -> Result<Delivered, NotDelivered> {
        match self {
            Self::DriverWrites(answers) => answers.deliver(&request, read, &subject).await,
            Self::ProviderWrites(volumes) => volumes.mount(request, read, subject).await,
        }
    }

    /// The memory of volumes that namespaces share, where Latchkey writes.
    pub(crate) fn memory(&self) -> Option<&Arc<Shares>> {
        match self {
            Self::DriverWrites(_) => None,
            Self::ProviderWrites(volumes) => Some(volumes.memory()),
        }
    }

    /// Writes the values of `changed` entries into every pod that mounts them, where
    /// Latchkey writes. Each volume is `told` as soon as it is done.
    pub async fn refresh(&self, changed: &[Arc<Entry>], told: impl Fn(Rewritten)) {
        match self {
            Self::DriverWrites(_) => {}
            Self::ProviderWrites(volumes) => volumes.refresh(changed, told).await,
        }
    }

    /// The volumes that Latchkey writes; `None` if the driver writes them.
    pub(crate) fn volumes(&self) -> Option<&Volumes> {
        match self {
            Self::DriverWrites(_) => None,
            Self::ProviderWrites(volumes) => Some(volumes),
        }
    }

    /// Forgets volumes that nobody has mounted for so long: their pods are gone.
    pub fn drop_idle(&self, idle_after: Duration) {
        match self {
            Self::DriverWrites(_) => {}
            Self::ProviderWrites(volumes) => volumes.drop_idle(idle_after),
        }
    }
}
