//! A reference to a secret or parameter in AWS, with its version.

use std::fmt;

use super::{
    arn::{Arn, Region},
    message::quoted,
    mistakes::{Kind, Mistakes, Spot},
    yaml::is_template,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    SecretsManager,
    ParameterStore,
}

impl Service {
    /// Parses the service in an ARN.
    fn of_arn(service: &str) -> Option<Self> {
        match service {
            "secretsmanager" => Some(Self::SecretsManager),
            "ssm" => Some(Self::ParameterStore),
            _ => None,
        }
    }

    /// Parses `objectType`.
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

/// The version of an object. Without both fields, the current one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    /// A Secrets Manager VersionId or the version number of a parameter.
    pub version: Option<String>,
    /// A Secrets Manager staging label or a label of a parameter.
    pub label: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    pub service: Service,
    /// The name or ARN, without the version selector of a parameter.
    pub id: String,
    pub selector: Selector,
}

/// A reference as a class writes it.
pub(super) struct Named<'a> {
    /// `objectName`.
    pub(super) name: &'a str,
    /// `objectType`; empty if there is none.
    pub(super) object_type: &'a str,
    pub(super) type_spot: &'a Spot,
    /// `objectVersion` and `objectVersionLabel`.
    pub(super) selector: Selector,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.id, self.selector)
    }
}

/// What follows an object's name.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = &self.version {
            write!(f, " version {version}")?;
        }
        if let Some(label) = &self.label {
            write!(f, " label {label}")?;
        }
        Ok(())
    }
}

impl Reference {
    /// Whether the id is an ARN. Names cannot contain a colon.
    pub fn is_arn(&self) -> bool {
        self.id.starts_with("arn:")
    }

    /// The memory it uses.
    pub fn bytes(&self) -> usize {
        let texts = [Some(&self.id), self.selector.version.as_ref(), self.selector.label.as_ref()];
        size_of::<Self>() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }

    /// Parses `objectName`, and compares it with `objectType` and the Region.
    pub(super) fn parse(
        place: &Spot,
        named: Named<'_>,
        region: Option<&Region>,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let Named { name, object_type, type_spot, mut selector } = named;
        if name.is_empty() {
            mistakes.add_as(Kind::Missing, place, "objectName is missing");
            return None;
        }
        if is_template(name) {
            mistakes.add_as(
                Kind::Unrendered,
                place,
                format!("objectName {} contains {{{{: a (Helm) template was not rendered", quoted(name)),
            );
            return None;
        }
        if name.len() > 2048 || name.chars().any(char::is_control) {
            mistakes.add(place, "objectName must have at most 2048 bytes and no control characters");
            return None;
        }
        let arn = name.starts_with("arn:").then(|| Arn::parse(name));
        if arn == Some(None) {
            mistakes.add(
                place,
                "objectName is not a complete ARN: arn:partition:service:region:account:resource",
            );
            return None;
        }
        let arn = arn.flatten();
        if let (Some(arn), Some(region)) = (arn, region)
            && arn.region != region.as_str()
        {
            let of = quoted(arn.region);
            mistakes.add_as(
                Kind::OtherRegion,
                place,
                format!("the ARN belongs to Region {of}, but the object is read from Region {region}"),
            );
        }
        let by_arn = arn.map(|arn| (arn.service, Service::of_arn(arn.service)));
        let service = match (object_type, by_arn) {
            ("", None) => {
                let problem =
                    "objectType is missing: set secretsmanager or ssmparameter (optional for an ARN)";
                Err((Kind::Missing, problem.to_owned()))
            }
            ("", Some((other, None))) => Err((
                Kind::Invalid,
                format!(
                    "the ARN belongs to service {}; only secretsmanager and ssm are supported",
                    quoted(other)
                ),
            )),
            ("", Some((_, Some(service)))) => Ok(service),
            (text, by_arn) => match Service::of_type(text) {
                None => Err((
                    Kind::Invalid,
                    format!("objectType {} is neither secretsmanager nor ssmparameter", quoted(text)),
                )),
                Some(service) if by_arn.is_some_and(|(_, of_arn)| of_arn != Some(service)) => Err((
                    Kind::Contradicting,
                    format!("objectType {} does not match the service of the ARN", quoted(text)),
                )),
                Some(service) => Ok(service),
            },
        };
        let service = service
            .map_err(|(kind, problem)| mistakes.add_as(kind, type_spot.named(place.to_string()), problem))
            .ok()?;
        let mut id = name.to_owned();
        if service == Service::ParameterStore {
            if let Some((bare, inline)) = inline_selector(name, arn) {
                if selector != Selector::default() {
                    mistakes.add_as(
                        Kind::Contradicting,
                        place,
                        format!(
                            "objectName already selects {}; remove objectVersion and objectVersionLabel",
                            quoted(inline)
                        ),
                    );
                }
                let number = inline.bytes().all(|b| b.is_ascii_digit());
                let (version, label) = if number { (Some(inline), None) } else { (None, Some(inline)) };
                selector = Selector { version: version.map(str::to_owned), label: label.map(str::to_owned) };
                id = bare.to_owned();
            }
            if selector.version.is_some() && selector.label.is_some() {
                mistakes.add_as(
                    Kind::Contradicting,
                    place,
                    "a parameter can have objectVersion or objectVersionLabel, not both",
                );
            }
        }
        Some(Self { service, id, selector })
    }
}

/// Splits `/name:selector` and `arn:…:parameter/name:selector`. Names of parameters
/// cannot contain a colon.
fn inline_selector<'a>(name: &'a str, arn: Option<Arn<'a>>) -> Option<(&'a str, &'a str)> {
    let (bare, selector) = name.rsplit_once(':')?;
    let within = arn.is_none_or(|arn| arn.resource.contains(':'));
    (within && !bare.is_empty() && !selector.is_empty()).then_some((bare, selector))
}
