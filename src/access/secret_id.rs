//! One secret or parameter, under whatever name a class or AWS's command line gives it.

use std::fmt;

use crate::model::{
    arn::{Arn, Region},
    reference::{Reference, Service},
};

/// Parameters that are references to secrets:
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html>
const SECRET_REFERENCE: &str = "/aws/reference/secretsmanager/";
/// The characters that AWS adds to the name of a secret in its ARN, after a hyphen.
const SUFFIX_LENGTH: usize = 6;

/// A secret or parameter in one Region of one AWS account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretId {
    pub service: Service,
    /// As people write it: a parameter in a hierarchy begins with a slash.
    pub name: String,
    /// Empty if the class leaves it to the node.
    pub region: String,
    /// Empty if the role that reads it is unknown.
    pub account: String,
}

/// A secret as a class names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) id: SecretId,
    /// The whole ARN, if the class names that.
    pub(super) arn: Option<String>,
    /// Parameter Store reads it, as a reference to a secret.
    pub(super) through_parameter_store: bool,
}

impl SecretId {
    /// The secret or parameter with this ARN.
    pub(super) fn of_arn(text: &str) -> Option<Self> {
        let arn = Arn::parse(text)?;
        let (service, name) = match arn.service {
            "secretsmanager" => {
                (Service::SecretsManager, without_suffix(arn.resource.strip_prefix("secret:")?).to_owned())
            }
            "ssm" => (Service::ParameterStore, parameter_name(arn.resource.strip_prefix("parameter/")?)),
            _ => return None,
        };
        Some(Self { service, name, region: arn.region.to_owned(), account: arn.account.to_owned() })
    }

    /// How people tell parameters from secrets.
    pub(super) fn kind(&self) -> &'static str {
        match self.service {
            Service::SecretsManager => "secret",
            Service::ParameterStore => "parameter",
        }
    }

    /// The ARN as far as it is known. A secret's ends with the six characters in `suffix`.
    pub(super) fn arn(&self, suffix: &str) -> String {
        let partition = Region::parse(&self.region).map_or("aws", |region| region.partition());
        let Self { name, region, account, .. } = self;
        match self.service {
            Service::SecretsManager => {
                format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{name}-{suffix}")
            }
            Service::ParameterStore => {
                format!("arn:{partition}:ssm:{region}:{account}:parameter/{}", name.trim_start_matches('/'))
            }
        }
    }

    /// For a reference to a secret: the parameter's ARN.
    pub(super) fn reference_arn(&self) -> String {
        let name = format!("{SECRET_REFERENCE}{}", self.name);
        Self { service: Service::ParameterStore, name, ..self.clone() }.arn("")
    }

    /// The first `depth` segments of the name: its business domain. `None` if the name
    /// has no further segment.
    pub(super) fn prefix(&self, depth: usize) -> Option<String> {
        let segments: Vec<&str> = self.name.trim_start_matches('/').split('/').collect();
        (depth > 0 && segments.len() > depth).then(|| segments[..depth].join("/"))
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, region, account, .. } = self;
        f.write_str(name)?;
        match (region.as_str(), account.as_str()) {
            ("", "") => Ok(()),
            (region, "") => write!(f, " ({region})"),
            ("", account) => write!(f, " ({account})"),
            (region, account) => write!(f, " ({region}, {account})"),
        }
    }
}

impl Named {
    /// What a reference means in a Region for a role of an account.
    pub(super) fn of(reference: &Reference, region: Option<&Region>, account: &str) -> Self {
        if reference.is_arn() {
            let arn = Some(reference.id.clone());
            if let Some(id) = SecretId::of_arn(&reference.id) {
                return Self { id, arn, through_parameter_store: false }.resolved();
            }
        }
        let (service, name) = match reference.service {
            Service::SecretsManager => (Service::SecretsManager, reference.id.clone()),
            Service::ParameterStore => (Service::ParameterStore, parameter_name(&reference.id)),
        };
        let region = region.map_or_else(String::new, |region| region.as_str().to_owned());
        let id = SecretId { service, name, region, account: account.to_owned() };
        Self { id, arn: None, through_parameter_store: false }.resolved()
    }

    /// The secret behind a parameter that refers to one.
    fn resolved(self) -> Self {
        match self.id.name.strip_prefix(SECRET_REFERENCE) {
            Some(name) if self.id.service == Service::ParameterStore => {
                let (service, name) = (Service::SecretsManager, name.to_owned());
                let id = SecretId { service, name, ..self.id };
                Self { id, arn: None, through_parameter_store: true }
            }
            Some(_) | None => self,
        }
    }
}

/// A parameter's name from its ARN, or as a class writes it. Only the name of a parameter
/// in a hierarchy begins with a slash.
fn parameter_name(text: &str) -> String {
    let text = text.trim_start_matches('/');
    if text.contains('/') { format!("/{text}") } else { text.to_owned() }
}

/// The name of a secret from its ARN. AWS advises against names that themselves end with a
/// hyphen and six characters, because they cannot be told from an ARN's.
fn without_suffix(text: &str) -> &str {
    match text.rsplit_once('-') {
        Some((name, suffix))
            if suffix.len() == SUFFIX_LENGTH && suffix.bytes().all(|b| b.is_ascii_alphanumeric()) =>
        {
            name
        }
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reference::Selector;

    fn named(service: Service, id: &str) -> Named {
        let reference = Reference { service, id: id.to_owned(), selector: Selector::default() };
        Named::of(&reference, Region::parse("eu-central-1").as_ref(), "111122223333")
    }

    #[test]
    fn a_name_and_its_arn_are_the_same_secret() {
        let by_name = named(Service::SecretsManager, "shop/db");
        let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/db-AbCd12";
        assert_eq!(named(Service::SecretsManager, arn).id, by_name.id);
        let without = arn.trim_end_matches("-AbCd12");
        assert_eq!(named(Service::SecretsManager, without).id, by_name.id);
        assert_eq!(by_name.id.arn("AbCd12"), arn);
    }

    #[test]
    fn a_parameter_is_the_same_with_and_without_its_slash() {
        let id = named(Service::ParameterStore, "/shop/db").id;
        assert_eq!(named(Service::ParameterStore, "shop/db").id, id);
        let arn = "arn:aws:ssm:eu-central-1:111122223333:parameter/shop/db";
        assert_eq!(named(Service::ParameterStore, arn).id, id);
        assert_eq!((id.name.as_str(), id.arn("")), ("/shop/db", arn.to_owned()));
        assert_eq!(named(Service::ParameterStore, "flat").id.name, "flat");
    }

    #[test]
    fn a_parameter_that_refers_to_a_secret_is_the_secret() {
        let reference = named(Service::ParameterStore, "/aws/reference/secretsmanager/shop/db");
        assert_eq!(reference.id, named(Service::SecretsManager, "shop/db").id);
        assert!(reference.through_parameter_store);
        let arn = "arn:aws:ssm:eu-central-1:111122223333:parameter/aws/reference/secretsmanager/shop/db";
        assert_eq!(reference.id.reference_arn(), arn);
    }

    #[test]
    fn a_prefix_is_what_stands_before_the_last_name() {
        let prefix = |name: &str, depth| named(Service::ParameterStore, name).id.prefix(depth);
        assert_eq!(prefix("/shop/db", 1).as_deref(), Some("shop"));
        assert_eq!(prefix("/prod/shop/db", 2).as_deref(), Some("prod/shop"));
        assert_eq!(prefix("/prod/db", 2), None);
        assert_eq!(prefix("db", 1), None);
    }
}
