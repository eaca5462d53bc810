//! Parses and checks one entry of `objects` in a SecretProviderClass.
//!
//! Keys, defaults and file names are those of AWS's own provider:
//! <https://github.com/aws/secrets-store-csi-driver-provider-aws#secretproviderclass-options>

use sha2::{Digest, Sha256};

use super::{
    arn::Region,
    encoding::Encoding,
    expression::Expression,
    fields::Fields,
    file::FileMode,
    file_path::FilePath,
    message::quoted,
    mistakes::{Kind, Mistakes, Spot},
    reference::{Named, Reference, Selector},
    rules::Limits,
    yaml::{Content, Node},
};

/// One object to mount.
#[derive(Clone, Debug)]
pub struct Object {
    /// The object in the primary Region.
    pub reference: Reference,
    /// The object in the failover Region, if it differs.
    pub failover: Option<Reference>,
    /// The file with the whole value, and its mode.
    pub path: FilePath,
    pub mode: FileMode,
    /// How to decode the value before anything else.
    pub encoding: Option<Encoding>,
    /// Whether the object may not exist.
    pub optional: bool,
    /// Fields of a JSON value that become separate files (`jmesPath`).
    pub fields: Vec<Field>,
}

/// One `jmesPath` entry.
#[derive(Clone, Debug)]
pub struct Field {
    pub expression: Expression,
    pub path: FilePath,
    pub mode: FileMode,
    /// How to decode the field before it is written.
    pub encoding: Option<Encoding>,
    /// Whether the field may not exist or be null.
    pub optional: bool,
}

/// A SHA-256 of the way that an object splits its value into files.
pub type PartsKey = [u8; 32];

/// The settings of the class that apply to all objects.
#[derive(Clone, Copy, Debug)]
pub struct ObjectsContext<'a> {
    /// The primary Region, if it is known without asking Kubernetes.
    pub region: Option<&'a Region>,
    pub failover_region: Option<&'a Region>,
    /// The character that replaces `/` in file names; `None` keeps `/`.
    pub translation: Option<char>,
    pub default_mode: FileMode,
    pub limits: &'a Limits,
}

impl Object {
    /// Parses one entry. Returns `None`, and adds to `mistakes`, if it is invalid.
    pub fn parse(
        node: &Node,
        index: usize,
        class: &ObjectsContext<'_>,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let place = Spot::of_objects(node, format!("objects[{index}] (line {})", node.line));
        let mut fields = Fields::of(node, &place, mistakes)?;
        let name = fields.text("objectName", mistakes).unwrap_or_default();
        let place = if name.is_empty() { place } else { place.named(format!("{place} {}", quoted(&name))) };
        fields.rename(place.clone());

        let type_spot = fields.spot_of("objectType");
        let object_type = fields.text("objectType", mistakes).unwrap_or_default();
        let name_spot = fields.spot_of("objectAlias");
        let alias = fields.text("objectAlias", mistakes);
        let mode = fields.mode("filePermission", mistakes).unwrap_or(class.default_mode);
        let version = fields.text("objectVersion", mistakes);
        let label = fields.text("objectVersionLabel", mistakes);
        let optional = fields.flag("optional", mistakes).unwrap_or(false);
        let encoding = fields.encoding(mistakes);
        let failover =
            fields.node("failoverObject", mistakes).filter(|node| node.content != Content::Null).cloned();
        let entries = fields.node("jmesPath", mistakes).cloned();
        fields.warn_of_the_rest(mistakes);

        let named = Named {
            name: &name,
            object_type: &object_type,
            type_spot: &type_spot,
            selector: Selector { version, label },
        };
        let reference = Reference::parse(&place, named, class.region, mistakes);
        let failover = reference.as_ref().and_then(|primary| {
            let (node, has_alias, object_type) = (failover.as_ref(), alias.is_some(), object_type.as_str());
            Failover { node, primary, has_alias, object_type, type_spot: &type_spot }
                .reference(&place, class, mistakes)
        });
        let (key, named) = match &alias {
            Some(alias) => ("objectAlias", alias),
            None => ("objectName", &name),
        };
        let path = file_path(&name_spot, key, named, class.translation, mistakes);
        let fields = entries.map_or_else(Vec::new, |node| json_fields(&place, &node, mode, class, mistakes));
        Some(Self { reference: reference?, failover, path: path?, mode, encoding, optional, fields })
    }

    /// The key for the way that the object splits its value; `None` if it mounts the
    /// value as it is.
    pub(super) fn parts_key(&self) -> Option<PartsKey> {
        if self.encoding.is_none() && self.fields.is_empty() {
            return None;
        }
        let mut hash = Sha256::new();
        // Hash each text with its length, so that different ways have different keys.
        let mut add = |text: &str| {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        };
        let encoding = |encoding: Option<Encoding>| encoding.map_or("", Encoding::as_str);
        add(encoding(self.encoding));
        for field in &self.fields {
            add(field.expression.kind());
            add(field.expression.as_str());
            add(encoding(field.encoding));
            add(if field.optional { "optional" } else { "" });
        }
        Some(hash.finalize().into())
    }

    /// The approximate memory it uses.
    pub(super) fn bytes(&self) -> usize {
        let fields = self.fields.iter().map(|field| size_of::<Field>() + field.expression.bytes());
        let paths = self.file_paths().map(|path| path.as_str().len());
        let references = [Some(&self.reference), self.failover.as_ref()];
        let references = references.into_iter().flatten().map(Reference::bytes);
        size_of::<Self>() + fields.sum::<usize>() + paths.sum::<usize>() + references.sum::<usize>()
    }

    /// All files that the object may create.
    pub fn file_paths(&self) -> impl Iterator<Item = &FilePath> {
        std::iter::once(&self.path).chain(self.fields.iter().map(|field| &field.path))
    }

    /// All files that the object may create, each with a name for messages.
    pub fn paths(&self) -> impl Iterator<Item = (&FilePath, String)> {
        let id = quoted(&self.reference.id);
        let whole = (&self.path, id.to_string());
        let fields = self.fields.iter().map(move |field| {
            (&field.path, format!("jmesPath {} of {id}", quoted(field.expression.as_str())))
        });
        std::iter::once(whole).chain(fields)
    }
}

/// How an object is read from the failover Region.
struct Failover<'a> {
    /// `failoverObject`.
    node: Option<&'a Node>,
    primary: &'a Reference,
    has_alias: bool,
    object_type: &'a str,
    type_spot: &'a Spot,
}

impl Failover<'_> {
    /// The failover Region's reference; `None` if it is the primary one's.
    fn reference(
        self,
        place: &Spot,
        class: &ObjectsContext<'_>,
        mistakes: &mut Mistakes,
    ) -> Option<Reference> {
        let Self { node, primary, has_alias, object_type, type_spot } = self;
        let mut own_place = place.named(format!("{place} failoverObject"));
        let (mut name, mut selector) = (None, Selector::default());
        if let Some(node) = node {
            own_place = own_place.on(node);
            let mut fields = Fields::of(node, &own_place, mistakes)?;
            name = fields.text("objectName", mistakes);
            selector.version = fields.text("objectVersion", mistakes);
            selector.label = fields.text("objectVersionLabel", mistakes);
            fields.warn_of_the_rest(mistakes);
        }
        if let Some(name) = &name {
            own_place = own_place.named(format!("{own_place} {}", quoted(name)));
        }
        let same_version = selector.version == primary.selector.version;
        // As in AWS's own provider: without a name, only the version may differ.
        selector.version = selector.version.or_else(|| primary.selector.version.clone());
        selector.label = selector.label.or_else(|| primary.selector.label.clone());
        let Some(name) = name else {
            if let Some(region) = class.failover_region
                && primary.is_arn()
            {
                mistakes.add_as(Kind::Missing, place, format!("objectName is an ARN, which belongs to one Region: failoverRegion {region} needs a failoverObject with its own objectName"));
            }
            return (selector != primary.selector).then(|| Reference { selector, ..primary.clone() });
        };
        if !has_alias {
            let problem = "the object needs an objectAlias, so that both Regions mount the same file";
            mistakes.add_as(Kind::Missing, &own_place, problem);
        }
        if class.failover_region.is_none() {
            mistakes.add_as(Kind::Missing, &own_place, "the class has no failoverRegion");
        }
        if !same_version {
            mistakes.add_as(
                Kind::Contradicting,
                &own_place,
                "objectVersion must be the same for both Regions",
            );
        }
        Reference::parse(
            &own_place,
            Named { name: &name, object_type, type_spot, selector },
            class.failover_region,
            mistakes,
        )
    }
}

fn json_fields(
    place: &Spot,
    node: &Node,
    mode: FileMode,
    class: &ObjectsContext<'_>,
    mistakes: &mut Mistakes,
) -> Vec<Field> {
    match &node.content {
        Content::Null => Vec::new(),
        Content::List(entries) => entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| {
                json_field(
                    place.on(entry).named(format!("{place} jmesPath[{index}] (line {})", entry.line)),
                    entry,
                    mode,
                    class,
                    mistakes,
                )
            })
            .collect(),
        Content::Scalar { .. } | Content::Map(_) => {
            mistakes.add(place.on(node), "jmesPath must be a list");
            Vec::new()
        }
    }
}

fn json_field(
    place: Spot,
    node: &Node,
    mode: FileMode,
    class: &ObjectsContext<'_>,
    mistakes: &mut Mistakes,
) -> Option<Field> {
    let mut fields = Fields::of(node, &place, mistakes)?;
    let expression_spot = match fields.has("path") {
        true => fields.spot_of("path"),
        false => fields.spot_of("key"),
    };
    let path = fields.text("path", mistakes);
    let key = fields.text("key", mistakes);
    let alias_spot = fields.spot_of("objectAlias");
    let alias = fields.text("objectAlias", mistakes);
    let mode = fields.mode("filePermission", mistakes).unwrap_or(mode);
    let optional = fields.flag("optional", mistakes).unwrap_or(false);
    let encoding = fields.encoding(mistakes);
    fields.warn_of_the_rest(mistakes);

    let expression = match (path, key) {
        (Some(path), None) => Expression::jmes_path(&path, class.limits.max_expression_bytes)
            .map_err(|error| mistakes.add(&expression_spot, format!("path {error}")))
            .ok(),
        (None, Some(key)) => Expression::key(&key, class.limits.max_expression_bytes)
            .map_err(|error| mistakes.add(&expression_spot, format!("key {error}")))
            .ok(),
        (None, None) => {
            let problem = "path (a JMESPath expression) or key (a literal top-level key) is missing";
            mistakes.add_as(Kind::Missing, &place, problem);
            None
        }
        (Some(_), Some(_)) => {
            mistakes.add_as(Kind::Contradicting, &place, "set either path or key, not both");
            None
        }
    };
    let path = match alias {
        None => {
            mistakes.add_as(Kind::Missing, &place, "objectAlias is missing");
            None
        }
        Some(alias) => file_path(&alias_spot, "objectAlias", &alias, class.translation, mistakes),
    };
    Some(Field { expression: expression?, path: path?, mode, encoding, optional })
}

/// The file of an object: its alias or name, which stands at `key`, with `/` translated.
fn file_path(
    place: &Spot,
    key: &str,
    name: &str,
    translation: Option<char>,
    mistakes: &mut Mistakes,
) -> Option<FilePath> {
    if name.is_empty() {
        return None; // Reported as missing already.
    }
    let translated = match translation {
        Some(replacement) if replacement != '/' => name.replace('/', &replacement.to_string()),
        Some(_) | None => name.trim_start_matches('/').to_owned(),
    };
    // A block scalar ends with a newline that its author does not see.
    let advice =
        if name.ends_with('\n') { "; write it on one line, or use |- instead of | or >" } else { "" };
    FilePath::parse(&translated)
        .map_err(|error| {
            let translated = quoted(&translated);
            mistakes.add_as(
                Kind::FileName,
                place,
                format!(
                    "{key} {} results in the file name {translated}, which {error}{advice}",
                    quoted(name)
                ),
            )
        })
        .ok()
}
