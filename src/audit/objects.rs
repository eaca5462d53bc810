//! The objects of a delivery, as a line names them.

use std::iter::Peekable;

use super::Delivery;
use crate::{
    model::{file::MountFile, file_path::FilePath, object::Object, reference::Reference},
    values::Found,
};

/// An object that was delivered, and the files that it became.
pub(super) struct Delivered<'a> {
    pub(super) reference: &'a Reference,
    pub(super) arn: &'a str,
    pub(super) version: &'a str,
    pub(super) request_id: Option<&'a str>,
    pub(super) files: Vec<&'a FilePath>,
}

impl Delivered<'_> {
    /// The ARN; the name, if the service did not answer an ARN.
    pub(super) fn id(&self) -> &str {
        if self.arn.is_empty() { &self.reference.id } else { self.arn }
    }
}

/// All objects with a value; an optional object that does not exist has none.
pub(super) fn delivered<'a>(delivery: &Delivery<'a>) -> Vec<Delivered<'a>> {
    let mut files = delivery.files.iter().peekable();
    let of_object = |(object, found)| delivered_one(object, found, &mut files);
    delivery.objects.iter().zip(delivery.found).filter_map(of_object).collect()
}

fn delivered_one<'a>(
    object: &'a Object,
    found: &'a Found,
    files: &mut Peekable<std::slice::Iter<'a, MountFile>>,
) -> Option<Delivered<'a>> {
    // The files stand in the order of the objects and of their paths; optional ones
    // may be missing. No two objects share a path.
    let paths = object.file_paths().filter(|path| files.next_if(|file| file.path == **path).is_some());
    let files = paths.collect();
    let reading = found.result().as_ref().ok()?;
    Some(Delivered {
        reference: &object.reference,
        arn: &reading.arn,
        version: &reading.version,
        request_id: reading.request_id.as_deref(),
        files,
    })
}
