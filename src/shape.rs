//! From the values that AWS served to the files that a pod sees: decoding and
//! extraction, or an explanation of each failed object.

mod failed;
mod parts;
mod shaper;
mod too_large;

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use self::parts::Taking;
pub use self::{
    failed::{Cause, FailedObjects, ObjectFailure},
    parts::ShapeError,
    shaper::{Material, Shaper},
    too_large::TooLarge,
};
use crate::{
    aws::FailureKind,
    model::{
        file::MountFile, file_path::FilePath, object::Object, objects::Objects, reason::Reason,
        secret::SecretValue,
    },
    values::{Found, Parts},
    workers::{Panicked, Stop, Workers},
};

/// Length of a step, after which another namespace has its turn. A single field may
/// take longer.
const STEP: Duration = Duration::from_millis(5);

/// Why a mount's objects do not become its files.
#[derive(Debug, thiserror::Error)]
pub enum NotShaped {
    /// Some could not be read, or do not have the form that the class asks for.
    #[error(transparent)]
    Objects(#[from] Box<FailedObjects>),
    /// They are larger than one mount may be.
    #[error(transparent)]
    Size(#[from] TooLarge),
    #[error("internal error (a bug in Latchkey; its log has the location)")]
    Bug(Panicked),
}

impl NotShaped {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Objects(failed) => failed.reason(),
            Self::Size(_) => Reason::TooLarge,
            Self::Bug(_) => Reason::Bug,
        }
    }
}

/// For whom files are made, as messages name them.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The namespace that the work counts for.
    pub namespace: String,
    /// The SecretProviderClass as `namespace/name`.
    pub class: String,
    /// Who the objects were read as.
    pub who: String,
    /// Their AWS account, if it is known.
    pub account: Option<String>,
}

/// Objects and what AWS served for them, on the way to files.
pub struct Shaping {
    objects: Arc<Objects>,
    found: Vec<Found>,
    subject: Subject,
    limit: usize,
    /// Index of the next object.
    next: usize,
    /// What was made of the next object so far, if a step ended within it.
    taking: Option<Taking>,
    files: Vec<MountFile>,
    failures: Vec<ObjectFailure>,
    left: usize,
    computed: bool,
}

/// The files of a mount.
#[derive(Debug)]
pub struct Shaped {
    pub files: Vec<MountFile>,
    /// What each object's files were made from.
    pub found: Vec<Found>,
    /// Whether parts were taken out of a value that were not kept before.
    pub computed: bool,
}

impl Shaped {
    /// What the files take of an answer.
    pub fn bytes(&self) -> usize {
        self.files.iter().map(too_large::size_of).sum()
    }
}

impl Shaping {
    /// The files may have `limit` bytes, as the driver's answer counts them.
    pub fn new(objects: Arc<Objects>, found: Vec<Found>, subject: Subject, limit: usize) -> Self {
        Self {
            objects,
            found,
            subject,
            limit,
            next: 0,
            taking: None,
            files: Vec::new(),
            failures: Vec::new(),
            left: limit,
            computed: false,
        }
    }

    /// Upper bound of the files' bytes.
    pub fn max_bytes(&self) -> usize {
        if self.needs_work() { self.limit } else { self.known_bytes().min(self.limit) }
    }

    /// Makes the files. The workers do what has to be computed; without such work the
    /// files are made at once.
    ///
    /// # Errors
    /// Every object that failed, and for whom.
    pub async fn run(mut self, workers: &Arc<Workers>, namespace: &str) -> Result<Shaped, NotShaped> {
        if !self.needs_work() {
            return self.finish();
        }
        workers.run(namespace, move |stop| self.step(stop)).await.map_err(NotShaped::Bug)?
    }

    /// Makes the files without a pause.
    ///
    /// # Errors
    /// Every object that failed, and for whom.
    pub fn finish(&mut self) -> Result<Shaped, NotShaped> {
        loop {
            if let ControlFlow::Break(done) = self.step(&Stop::default()) {
                return done;
            }
        }
    }

    /// Whether anything must be decoded or taken out that is not known yet.
    pub fn needs_work(&self) -> bool {
        self.found.iter().zip(self.objects.parts_keys()).any(|(found, key)| {
            found.result().is_ok() && key.as_ref().is_some_and(|key| found.parts(key).is_none())
        })
    }

    /// The bytes of the files, when nothing needs work.
    fn known_bytes(&self) -> usize {
        let sizes = self.objects.iter().zip(&self.found).zip(self.objects.parts_keys()).map(
            |((object, found), key)| {
                let Ok(reading) = found.result() else { return 0 };
                let parts = key.as_ref().and_then(|key| found.parts(key));
                let parts = parts.iter().flat_map(|parts| parts.iter()).flatten();
                reading.value.len() + parts.map(SecretValue::len).sum::<usize>() + too_large::overhead(object)
            },
        );
        sizes.sum()
    }

    fn step(&mut self, stop: &Stop) -> ControlFlow<Result<Shaped, NotShaped>> {
        let until = Instant::now() + STEP;
        let objects = Arc::clone(&self.objects);
        while let Some(object) = objects.get(self.next) {
            if Instant::now() >= until {
                return ControlFlow::Continue(());
            }
            if let Err(too_large) = self.shape(object, stop, until) {
                return ControlFlow::Break(Err(too_large.into()));
            }
        }
        let (files, failures) = (std::mem::take(&mut self.files), std::mem::take(&mut self.failures));
        if failures.is_empty() {
            let found = std::mem::take(&mut self.found);
            return ControlFlow::Break(Ok(Shaped { files, found, computed: self.computed }));
        }
        let Subject { class, who, account, .. } = self.subject.clone();
        let objects = self.objects.len();
        ControlFlow::Break(Err(Box::new(FailedObjects { failures, objects, class, who, account }).into()))
    }

    /// Makes an object's files, or a part of them until `until`.
    fn shape(&mut self, object: &Object, stop: &Stop, until: Instant) -> Result<(), TooLarge> {
        let found = self.found[self.next].clone();
        let failure = match found.result() {
            Ok(reading) => {
                let mut taking = self
                    .taking
                    .take()
                    .unwrap_or_else(|| Taking::of(self.objects.parts_keys()[self.next], &found));
                match taking.go_on(object, &reading.value, self.left, stop, until) {
                    ControlFlow::Continue(()) => {
                        self.taking = Some(taking);
                        return Ok(());
                    }
                    ControlFlow::Break(Ok(parts)) => {
                        self.computed |= taking.computed();
                        self.next += 1;
                        return self.add(object, &found, &parts);
                    }
                    ControlFlow::Break(Err(errors)) => Some(Cause::Shape(errors)),
                }
            }
            // Only "not found" makes an optional object absent; a denial never does.
            Err(failure) if object.optional && failure.kind() == FailureKind::NotFound => None,
            Err(failure) => Some(Cause::Read(failure.clone())),
        };
        self.next += 1;
        let reference = object.reference.clone();
        self.failures.extend(failure.map(|cause| ObjectFailure { reference, cause }));
        Ok(())
    }

    /// Adds an object's files: the whole value first, then its fields.
    fn add(&mut self, object: &Object, found: &Found, parts: &Parts) -> Result<(), TooLarge> {
        let Ok(reading) = found.result() else { return Ok(()) };
        let mut parts = parts.iter();
        let whole = parts.next().cloned().flatten().unwrap_or_else(|| reading.value.clone());
        let fields = object.fields.iter().zip(parts);
        let fields = fields.filter_map(|(field, part)| Some((&field.path, field.mode, part.clone()?)));
        for (path, mode, contents) in std::iter::once((&object.path, object.mode, whole)).chain(fields) {
            let file =
                MountFile { path: FilePath::clone(path), mode, contents, version: reading.version.clone() };
            let room = self.left.checked_sub(too_large::size_of(&file));
            self.files.push(file);
            match room {
                Some(room) => self.left = room,
                None => return Err(TooLarge::new(&self.files, self.limit)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
