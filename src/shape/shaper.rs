//! Makes files within the memory that namespaces share.

use std::sync::Arc;

use super::{NotShaped, Shaped, Shaping, Subject};
use crate::{
    model::objects::Objects,
    shares::{Share, Shares},
    values::{Entry, Found, Values},
    workers::Workers,
};

/// Makes files from values, at most so many bytes for one mount.
pub struct Shaper {
    pub workers: Arc<Workers>,
    /// Memory of the files of mounts that run.
    pub memory: Arc<Shares>,
    /// Counts what is kept with the values.
    pub values: Arc<Values>,
    pub max_bytes: usize,
}

/// What files are made from.
pub struct Material<'a> {
    pub objects: &'a Arc<Objects>,
    /// What was read for each object.
    pub found: Vec<Found>,
    /// The entries that hold it.
    pub entries: &'a [Arc<Entry>],
    pub subject: &'a Subject,
}

impl Shaper {
    /// Makes the files, and takes memory for `copies` of them. `turn` is released before
    /// anything is waited for.
    ///
    /// # Errors
    /// Every object that failed, or that the files are too large.
    pub async fn shape(
        &self,
        material: Material<'_>,
        copies: usize,
        turn: &mut Option<Share>,
    ) -> Result<(Shaped, Share), NotShaped> {
        let Material { objects, found, entries, subject } = material;
        let shaping = Shaping::new(Arc::clone(objects), found, subject.clone(), self.max_bytes);
        if shaping.needs_work() {
            *turn = None;
        }
        let namespace = &subject.namespace;
        let mut memory = self.memory.take_giving_up(turn, namespace, copies * shaping.max_bytes()).await;
        let shaped = shaping.run(&self.workers, namespace).await?;
        if shaped.computed {
            entries.iter().for_each(|entry| self.values.recount(entry));
        }
        memory.shrink_to(copies * shaped.bytes());
        Ok((shaped, memory))
    }
}
