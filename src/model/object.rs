//! One entry of a SecretProviderClass's `objects`, checked.
//!
//! Keys, defaults and file names are those of AWS's own provider:
//! <https://github.com/aws/secrets-store-csi-driver-provider-aws#secretproviderclass-options>

use std::fmt;

use super::{
    arn::{Arn, Region},
    encoding::Encoding,
    expression::Expression,
    fields::Fields,
    file::FileMode,
    file_path::FilePath,
    message::shortened,
    mistakes::{Limits, Mistakes},
    yaml::{Content, Node},
};

/// The AWS service that holds an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// AWS Secrets Manager.
    SecretsManager,
    /// AWS Systems Manager Parameter Store.
    ParameterStore,
}

impl Service {
    /// As an ARN names the service.
    fn of_arn(service: &str) -> Option<Self> {
        match service {
            "secretsmanager" => Some(Self::SecretsManager),
            "ssm" => Some(Self::ParameterStore),
            _ => None,
        }
    }

    /// As `objectType` names it.
    fn of_type(object_type: &str) -> Option<Self> {
        match object_type {
            "secretsmanager" => Some(Self::SecretsManager),
            "ssmparameter" => Some(Self::ParameterStore),
            _ => None,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretsManager => "Secrets Manager",
            Self::ParameterStore => "Parameter Store",
        })
    }
}

/// Which version of an object; neither set means the current one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    /// Secrets Manager VersionId, or a parameter's version number.
    pub version: Option<String>,
    /// Secrets Manager staging label, or a parameter's label.
    pub label: Option<String>,
}

/// What to ask AWS for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The service that holds it.
    pub service: Service,
    /// Name or ARN, without a parameter's version selector.
    pub id: String,
    /// Which version.
    pub selector: Selector,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if let Some(version) = &self.selector.version {
            write!(f, " version {version}")?;
        }
        if let Some(label) = &self.selector.label {
            write!(f, " label {label}")?;
        }
        Ok(())
    }
}

/// One object to mount.
#[derive(Clone, Debug)]
pub struct Object {
    /// What to ask the primary Region for.
    pub reference: Reference,
    /// What to ask the failover Region for, where it differs.
    pub failover: Option<Reference>,
    /// The file that holds the whole value.
    pub path: FilePath,
    /// That file's mode.
    pub mode: FileMode,
    /// How to decode the value before anything else is done with it.
    pub encoding: Option<Encoding>,
    /// Whether the object may be absent.
    pub optional: bool,
    /// Fields of a JSON value that become files of their own (`jmesPath`).
    pub fields: Vec<Field>,
}

/// One `jmesPath` entry.
#[derive(Clone, Debug)]
pub struct Field {
    /// What to take out.
    pub expression: Expression,
    /// The file that holds it.
    pub path: FilePath,
    /// That file's mode.
    pub mode: FileMode,
    /// How to decode the field before it is written.
    pub encoding: Option<Encoding>,
    /// Whether the field may be missing or null.
    pub optional: bool,
}

/// What the class as a whole says about its objects.
#[derive(Clone, Copy, Debug)]
pub struct Class<'a> {
    /// The primary Region, where it is known before asking Kubernetes.
    pub region: Option<&'a Region>,
    /// The failover Region, where the class has one.
    pub failover_region: Option<&'a Region>,
    /// What replaces `/` in file names; `None` leaves it.
    pub translation: Option<char>,
    /// The mode of a file whose object names none.
    pub default_mode: FileMode,
    /// Bounds.
    pub limits: &'a Limits,
}

impl Object {
    /// Checks one entry. `None` when it has mistakes, which are then in `mistakes`.
    pub fn parse(node: &Node, index: usize, class: &Class<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let place = format!("objects[{index}] (line {})", node.line);
        let mut fields = Fields::of(node, &place, mistakes)?;
        let name = fields.text("objectName", mistakes).unwrap_or_default();
        let place = if name.is_empty() { place } else { format!("{place} {:?}", shortened(&name)) };
        fields.rename(place.clone());

        let object_type = fields.text("objectType", mistakes).unwrap_or_default();
        let alias = fields.text("objectAlias", mistakes);
        let mode = fields.mode("filePermission", mistakes).unwrap_or(class.default_mode);
        let version = fields.text("objectVersion", mistakes);
        let label = fields.text("objectVersionLabel", mistakes);
        let optional = fields.flag("optional", mistakes).unwrap_or(false);
        let encoding = fields.encoding(mistakes);
        let failover = fields.node("failoverObject").filter(|node| node.content != Content::Null).cloned();
        let entries = fields.node("jmesPath").cloned();
        fields.warn_of_the_rest(mistakes);

        let reference =
            reference(&place, &name, &object_type, Selector { version, label }, class.region, mistakes);
        let failover = failover.and_then(|node| {
            let primary = reference.as_ref()?;
            failover_reference(&place, &node, primary, alias.is_some(), &object_type, class, mistakes)
        });
        let path = file_path(&place, "objectName", alias.as_deref(), &name, class.translation, mistakes);
        let fields = entries.map_or_else(Vec::new, |node| json_fields(&place, &node, mode, class, mistakes));
        Some(Self {
            reference: reference?,
            failover: failover.flatten(),
            path: path?,
            mode,
            encoding,
            optional,
            fields,
        })
    }

    /// Every file that the object may bring, with the name to report it by.
    pub fn paths(&self) -> impl Iterator<Item = (&FilePath, String)> {
        let id = shortened(&self.reference.id);
        let whole = (&self.path, format!("{id:?}"));
        let fields = self.fields.iter().map(|field| {
            (&field.path, format!("jmesPath {:?} of {:?}", field.expression.as_str(), self.reference.id))
        });
        std::iter::once(whole).chain(fields)
    }
}

/// Checks `objectName` against `objectType`, its ARN's service and the Region.
fn reference(
    place: &str,
    name: &str,
    object_type: &str,
    mut selector: Selector,
    region: Option<&Region>,
    mistakes: &mut Mistakes,
) -> Option<Reference> {
    if name.is_empty() {
        mistakes.add(place, "objectName is missing");
        return None;
    }
    if name.len() > 2048 || name.chars().any(char::is_control) {
        mistakes.add(place, "objectName must have at most 2048 bytes and no control characters");
        return None;
    }
    let arn = name.starts_with("arn:").then(|| Arn::parse(name));
    if arn == Some(None) {
        mistakes.add(place, "objectName is not a whole ARN: arn:partition:service:region:account:resource");
        return None;
    }
    let arn = arn.flatten();
    if let (Some(arn), Some(region)) = (arn, region)
        && arn.region != region.as_str()
    {
        mistakes.add(place, format!("the ARN is of Region {:?}, but Region {region} is asked", arn.region));
    }
    let by_arn = arn.map(|arn| (arn.service, Service::of_arn(arn.service)));
    let service = match (object_type, by_arn) {
        ("", None) => {
            Err("objectType is missing: secretsmanager or ssmparameter (only an ARN needs none)".to_owned())
        }
        ("", Some((other, None))) => {
            Err(format!("the ARN is of service {other:?}; secretsmanager and ssm are read"))
        }
        ("", Some((_, Some(service)))) => Ok(service),
        (text, by_arn) => match Service::of_type(text) {
            None => Err(format!("objectType {text:?} is neither secretsmanager nor ssmparameter")),
            Some(service) if by_arn.is_some_and(|(_, of_arn)| of_arn != Some(service)) => {
                Err(format!("objectType {text:?} does not agree with the ARN's service"))
            }
            Some(service) => Ok(service),
        },
    };
    let service = service.map_err(|problem| mistakes.add(place, problem)).ok()?;
    let mut id = name.to_owned();
    if service == Service::ParameterStore {
        if let Some((bare, inline)) = inline_selector(name, arn) {
            if selector != Selector::default() {
                mistakes.add(place, format!("objectName already selects {inline:?}; objectVersion or objectVersionLabel cannot select again"));
            }
            let number = inline.bytes().all(|b| b.is_ascii_digit());
            let (version, label) = if number { (Some(inline), None) } else { (None, Some(inline)) };
            selector = Selector { version: version.map(str::to_owned), label: label.map(str::to_owned) };
            id = bare.to_owned();
        }
        if selector.version.is_some() && selector.label.is_some() {
            mistakes.add(place, "a parameter takes objectVersion or objectVersionLabel, not both");
        }
    }
    Some(Reference { service, id, selector })
}

/// `/name:selector` and `arn:…:parameter/name:selector`: no parameter's own
/// name may hold a colon.
fn inline_selector<'a>(name: &'a str, arn: Option<Arn<'a>>) -> Option<(&'a str, &'a str)> {
    let (bare, selector) = name.rsplit_once(':')?;
    let within = arn.is_none_or(|arn| arn.resource.contains(':'));
    (within && !bare.is_empty() && !selector.is_empty()).then_some((bare, selector))
}

/// `failoverObject`: what the failover Region is asked for instead.
#[allow(clippy::option_option, reason = "the inner option is an entry that names nothing")]
fn failover_reference(
    place: &str,
    node: &Node,
    primary: &Reference,
    has_alias: bool,
    object_type: &str,
    class: &Class<'_>,
    mistakes: &mut Mistakes,
) -> Option<Option<Reference>> {
    let place = format!("{place} failoverObject");
    let mut fields = Fields::of(node, &place, mistakes)?;
    let name = fields.text("objectName", mistakes);
    let version = fields.text("objectVersion", mistakes);
    let label = fields.text("objectVersionLabel", mistakes);
    fields.warn_of_the_rest(mistakes);
    // As in AWS's own provider: without a name only a version may still differ.
    let selector = Selector {
        version: version.clone().or_else(|| primary.selector.version.clone()),
        label: label.or_else(|| primary.selector.label.clone()),
    };
    let Some(name) = name else {
        return Some((selector != primary.selector).then(|| Reference { selector, ..primary.clone() }));
    };
    if !has_alias {
        mistakes.add(&place, "objectAlias is needed on the object, so that both Regions mount the same file");
    }
    if class.failover_region.is_none() {
        mistakes.add(&place, "the class has no failoverRegion");
    }
    if version != primary.selector.version {
        mistakes.add(&place, "objectVersion must be the same for both Regions");
    }
    Some(reference(&place, &name, object_type, selector, class.failover_region, mistakes))
}

fn json_fields(
    place: &str,
    node: &Node,
    mode: FileMode,
    class: &Class<'_>,
    mistakes: &mut Mistakes,
) -> Vec<Field> {
    match &node.content {
        Content::Null => Vec::new(),
        Content::List(entries) => entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| {
                json_field(
                    format!("{place} jmesPath[{index}] (line {})", entry.line),
                    entry,
                    mode,
                    class,
                    mistakes,
                )
            })
            .collect(),
        Content::Scalar { .. } | Content::Map(_) => {
            mistakes.add(place, "jmesPath must be a list");
            Vec::new()
        }
    }
}

fn json_field(
    place: String,
    node: &Node,
    mode: FileMode,
    class: &Class<'_>,
    mistakes: &mut Mistakes,
) -> Option<Field> {
    let mut fields = Fields::of(node, &place, mistakes)?;
    let path = fields.text("path", mistakes);
    let key = fields.text("key", mistakes);
    let alias = fields.text("objectAlias", mistakes);
    let mode = fields.mode("filePermission", mistakes).unwrap_or(mode);
    let optional = fields.flag("optional", mistakes).unwrap_or(false);
    let encoding = fields.encoding(mistakes);
    fields.warn_of_the_rest(mistakes);

    let expression = match (path, key) {
        (Some(path), None) => Expression::jmes_path(&path, class.limits.max_expression_bytes)
            .map_err(|error| mistakes.add(&place, format!("path {error}")))
            .ok(),
        (None, Some(key)) => Expression::key(&key, class.limits.max_expression_bytes)
            .map_err(|error| mistakes.add(&place, format!("key {error}")))
            .ok(),
        (None, None) => {
            mistakes.add(&place, "path (a JMESPath expression) or key (a literal top-level key) is missing");
            None
        }
        (Some(_), Some(_)) => {
            mistakes.add(&place, "path and key exclude each other");
            None
        }
    };
    let path = match alias {
        None => {
            mistakes.add(&place, "objectAlias is missing");
            None
        }
        Some(alias) => file_path(&place, "objectAlias", Some(&alias), "", class.translation, mistakes),
    };
    Some(Field { expression: expression?, path: path?, mode, encoding, optional })
}

/// The file name of an object: alias or name, with `/` translated.
fn file_path(
    place: &str,
    key: &str,
    alias: Option<&str>,
    name: &str,
    translation: Option<char>,
    mistakes: &mut Mistakes,
) -> Option<FilePath> {
    let (key, name) = alias.map_or((key, name), |alias| ("objectAlias", alias));
    if name.is_empty() {
        return None; // Reported as missing already.
    }
    let translated = match translation {
        Some(replacement) if replacement != '/' => name.replace('/', &replacement.to_string()),
        Some(_) | None => name.trim_start_matches('/').to_owned(),
    };
    FilePath::parse(&translated)
        .map_err(|error| {
            mistakes.add(
                place,
                format!(
                    "{key} {:?} gives the file name {:?}, which {error}",
                    shortened(name),
                    shortened(&translated)
                ),
            )
        })
        .ok()
}
