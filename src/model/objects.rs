//! Parses and checks the `objects` of a class as a whole.

use std::ops::Deref;
#[cfg(test)]
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{
    arn::Region,
    file::FileMode,
    file_path::FilePath,
    message::quoted,
    mistakes::{Kind, Mistake, Mistakes, Spot},
    object::{Object, ObjectsContext, PartsKey},
    rules::Limits,
    source::{self, Plan},
    yaml::{self, Content, Node},
};

/// Maximum size of `objects`: about 500 bytes for each of 500 objects.
const MAX_OBJECTS_BYTES: usize = 256 << 10;
/// Maximum total size of the expressions in one class. Each byte becomes at most one
/// node of a compiled expression, so this bounds the memory of a parsed class.
const MAX_CLASS_EXPRESSION_BYTES: usize = 64 << 10;

/// Maximum size of a text that is quick to parse.
const MAX_QUICK_BYTES: usize = 8 << 10;

/// The valid objects of a class.
#[derive(Debug, Default)]
pub struct Objects {
    list: Vec<Object>,
    plan: Plan,
    parts_keys: Vec<Option<PartsKey>>,
    warnings: Vec<Mistake>,
    bytes: usize,
}

/// The input that determines the objects: their text and the other parameters of the
/// request. The operator's limits are the same for every request.
pub struct ObjectsText {
    pub(super) text: String,
    pub(super) region: Option<Region>,
    pub(super) failover_region: Option<Region>,
    pub(super) translation: Option<char>,
    pub(super) default_mode: FileMode,
}

/// A SHA-256 of all the input. Equal digests mean equal objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectsDigest([u8; 32]);

impl Deref for Objects {
    type Target = [Object];

    fn deref(&self) -> &[Object] {
        &self.list
    }
}

impl From<Vec<Object>> for Objects {
    fn from(list: Vec<Object>) -> Self {
        let bytes = list.iter().map(Object::bytes).sum();
        let parts_keys = list.iter().map(Object::parts_key).collect();
        Self { plan: Plan::of(&list), parts_keys, list, warnings: Vec::new(), bytes }
    }
}

impl Objects {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// For each object, the key for the way that it splits its value; `None` if it mounts
    /// the value as it is.
    pub fn parts_keys(&self) -> &[Option<PartsKey>] {
        &self.parts_keys
    }

    /// Things that are odd, but not wrong.
    pub(super) fn warnings(&self) -> &[Mistake] {
        &self.warnings
    }

    /// The approximate memory they use.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl ObjectsText {
    pub fn digest(&self) -> ObjectsDigest {
        let Self { text, region, failover_region, translation, default_mode } = self;
        let mut digest = Sha256::new();
        // None of these contains a newline, so different input has different digests.
        let [region, failover_region] =
            [region, failover_region].map(|region| region.as_ref().map_or("", Region::as_str));
        let translation = translation.map_or(String::new(), |character| u32::from(character).to_string());
        let mode = default_mode.bits();
        digest.update(format!("{region}\n{failover_region}\n{translation}\n{mode}\n"));
        digest.update(text);
        ObjectsDigest(digest.finalize().into())
    }

    /// Whether parsing takes less than a millisecond. Aliases multiply the work, so a
    /// text with an alias is never quick.
    pub fn is_quick(&self) -> bool {
        self.text.len() <= MAX_QUICK_BYTES && !self.text.contains('&')
    }

    /// Parses the objects. The error lists all mistakes with their places.
    pub(super) fn read(&self, limits: &Limits) -> Result<Objects, Mistakes> {
        let mut mistakes = Mistakes::within(limits);
        let context = ObjectsContext {
            region: self.region.as_ref(),
            failover_region: self.failover_region.as_ref(),
            translation: self.translation,
            default_mode: self.default_mode,
            limits,
        };
        let placed = parse_objects(&self.text, &context, &mut mistakes);
        check_collisions(&placed, &mut mistakes);
        let list: Vec<Object> = placed.into_iter().map(|placed| placed.object).collect();
        source::check_versions(&list, &mut mistakes);
        if mistakes.any() {
            return Err(mistakes);
        }
        Ok(Objects { warnings: mistakes.warnings.into_mistakes(), ..list.into() })
    }
}

/// An object, and the place of its entry.
struct Placed {
    object: Object,
    line: u32,
    column: u32,
}

fn parse_objects(text: &str, class: &ObjectsContext<'_>, mistakes: &mut Mistakes) -> Vec<Placed> {
    if text.len() > MAX_OBJECTS_BYTES {
        mistakes.add_as(
            Kind::TooLarge,
            "objects",
            format!("has {} bytes; the maximum is {MAX_OBJECTS_BYTES}", text.len()),
        );
        return Vec::new();
    }
    let document = match yaml::read(text) {
        Ok(document) => document,
        Err(error) => {
            let objects = Spot::from("objects");
            let (kind, spot, template) = match yaml::template_line(text) {
                Some(line) => {
                    let advice = format!("; line {line} contains {{{{: a (Helm) template was not rendered");
                    (Kind::Unrendered, objects.on_line(line as u64, 1), advice)
                }
                None => (Kind::NotYaml, objects.on_line(error.line, error.column), String::new()),
            };
            mistakes.add_as(kind, &spot, format!("is not YAML: {error}{template}"));
            return Vec::new();
        }
    };
    if let Some(line) = document.lost {
        mistakes.warn(Kind::Unread, Spot::from("objects").on_line(line, 1), format!(
            "objects: nothing from line {line} on is mounted, because the list ends before that line: at a ---, or at a line with less indentation than the first entry"
        ));
    }
    let Some(node) = document.root else { return Vec::new() };
    match &node.content {
        Content::Null => Vec::new(),
        Content::List(entries) => {
            // Count first, so that too many entries are not even parsed.
            if !counts_fit(entries, class.limits, mistakes) {
                return Vec::new();
            }
            let parse = |(index, entry): (usize, &Node)| {
                let object = Object::parse(entry, index, class, mistakes)?;
                Some(Placed { object, line: entry.line, column: entry.column })
            };
            entries.iter().enumerate().filter_map(parse).collect()
        }
        Content::Scalar { .. } | Content::Map(_) => {
            let spot = Spot::of_objects(&node, "objects".to_owned());
            mistakes.add(&spot, "must be a list (each entry starts with \"- objectName:\")");
            Vec::new()
        }
    }
}

/// Checks the total numbers of files and bytes of expressions against the limits.
fn counts_fit(entries: &[Node], limits: &Limits, mistakes: &mut Mistakes) -> bool {
    let (mut files, mut expression_bytes) = (0, 0);
    for entry in entries {
        files += 1;
        let fields = entry.values_of("jmesPath").filter_map(|node| match &node.content {
            Content::List(fields) => Some(fields),
            Content::Null | Content::Scalar { .. } | Content::Map(_) => None,
        });
        for field in fields.flatten() {
            files += 1;
            let texts = field.values_of("path").chain(field.values_of("key"));
            expression_bytes += texts.map(Node::text_bytes).sum::<usize>();
        }
    }
    let max_files = limits.max_objects;
    if files > max_files {
        mistakes.add_as(
            Kind::TooLarge,
            "objects",
            format!(
                "has {files} files, including jmesPath entries; the maximum is {max_files} (--max-objects)"
            ),
        );
    }
    if expression_bytes > MAX_CLASS_EXPRESSION_BYTES {
        mistakes.add_as(
            Kind::TooLarge,
            "objects",
            format!(
                "has {expression_bytes} bytes of jmesPath expressions; the maximum for one class is {MAX_CLASS_EXPRESSION_BYTES}"
            ),
        );
    }
    files <= max_files && expression_bytes <= MAX_CLASS_EXPRESSION_BYTES
}

/// Two objects must not have the same file, and a file must not be a folder of
/// another one.
fn check_collisions(objects: &[Placed], mistakes: &mut Mistakes) {
    let mut files: Vec<(&FilePath, String, &Placed)> = Vec::new();
    for placed in objects {
        files.extend(placed.object.paths().map(|(path, owner)| (path, owner, placed)));
    }
    // In this order, a path comes right before the paths below it, so comparing
    // neighbours is enough, no matter how long and deep the paths are.
    files.sort_by(|(one, ..), (other, ..)| one.as_str().split('/').cmp(other.as_str().split('/')));
    for pair in files.windows(2) {
        let [(path, owner, placed), (next, next_owner, next_placed)] = pair else { continue };
        let (path, next) = (path.as_str(), next.as_str());
        let problem = if path == next {
            format!("{owner} and {next_owner} both mount the file {}; give one an objectAlias", quoted(path))
        } else if next.strip_prefix(path).is_some_and(|below| below.starts_with('/')) {
            format!("{owner} mounts the file {}, which {next_owner} needs as a folder", quoted(path))
        } else {
            continue;
        };
        let (line, column) = (placed.line, placed.column).max((next_placed.line, next_placed.column));
        let spot = Spot::from("objects").on_line(line.into(), column.into());
        mistakes.add_as(Kind::Colliding, &spot, problem);
    }
}

#[cfg(test)]
impl ObjectsText {
    pub(crate) fn example(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            region: Region::parse("us-east-1"),
            failover_region: None,
            translation: Some('_'),
            default_mode: FileMode::OWNER_READ,
        }
    }

    pub(crate) fn objects(&self) -> Arc<Objects> {
        Arc::new(self.read(&Limits::default()).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_covers_everything_that_determines_the_objects() {
        let mut text = ObjectsText::example("- {objectName: a}");
        let mut digests = vec![text.digest()];
        assert_eq!(ObjectsText::example("- {objectName: a}").digest(), digests[0]);
        let changes: [fn(&mut ObjectsText); 6] = [
            |it| it.text.push('\n'),
            |it| it.failover_region = it.region.take(),
            |it| it.region = Region::parse("us-west-2"),
            |it| it.translation = None,
            |it| it.translation = Some('-'),
            |it| it.default_mode = FileMode::new(0o440).unwrap(),
        ];
        for change in changes {
            change(&mut text);
            let digest = text.digest();
            assert!(!digests.contains(&digest), "after {} changes", digests.len());
            digests.push(digest);
        }
    }
}
