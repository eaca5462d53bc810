//! An object whose versions pods hold.

use std::fmt;

use crate::model::{
    arn::Arn,
    reference::{Selector, Service},
};

/// A secret, a parameter, or a file of which no class says what it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// `None` if no class says which object the file is of.
    pub service: Option<Service>,
    /// The name or ARN; without a service `namespace/class: file`.
    pub id: String,
    /// `None` if it is the node's own Region.
    pub region: Option<String>,
    /// The version that the class asks for.
    pub selector: Selector,
}

impl Object {
    /// Whether a rotation moves it on: the class asks for the current version.
    pub fn follows_rotation(&self) -> bool {
        let label = self.selector.label.as_deref();
        self.selector.version.is_none() && label.is_none_or(|label| label == "AWSCURRENT")
    }

    /// The name, also of an ARN. That of a secret's ARN ends with six random characters.
    pub fn name(&self) -> &str {
        let Some(arn) = Arn::parse(&self.id) else { return &self.id };
        let resource = arn.resource;
        match self.service {
            Some(Service::SecretsManager) => resource.strip_prefix("secret:").unwrap_or(resource),
            _ => resource.strip_prefix("parameter").unwrap_or(resource),
        }
    }

    /// Whether a person means this object by `wanted`: its name, its ARN, or the name of
    /// its ARN with or without the random characters.
    pub fn is_called(&self, wanted: &str) -> bool {
        let plain = |name: &str| name.trim_start_matches('/').to_owned();
        let name = self.name();
        if wanted == self.id || plain(wanted) == plain(name) {
            return true;
        }
        let is_secret = self.service == Some(Service::SecretsManager);
        let without_suffix = |name: &str| {
            let (bare, suffix) = name.rsplit_once('-')?;
            (suffix.len() == 6).then(|| bare.to_owned())
        };
        if !is_secret {
            return Arn::parse(wanted).is_some_and(|arn| {
                arn.service == "ssm"
                    && arn
                        .resource
                        .strip_prefix("parameter")
                        .is_some_and(|wanted| plain(wanted) == plain(name))
                    && self.may_be_in(arn.region)
            });
        }
        match Arn::parse(wanted) {
            // The ARN of a secret that the class names.
            Some(arn) if arn.service == "secretsmanager" && !self.id.starts_with("arn:") => {
                let wanted = arn.resource.strip_prefix("secret:").unwrap_or_default();
                self.may_be_in(arn.region)
                    && (wanted == name || without_suffix(wanted).is_some_and(|bare| bare == name))
            }
            Some(_) => false,
            None => self.id.starts_with("arn:") && without_suffix(name).is_some_and(|bare| bare == wanted),
        }
    }

    fn may_be_in(&self, region: &str) -> bool {
        self.region.as_deref().is_none_or(|own| own == region)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.id, self.selector)?;
        match &self.region {
            Some(region) if !self.id.starts_with("arn:") => write!(f, " ({region})"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(id: &str) -> Object {
        Object {
            service: Some(Service::SecretsManager),
            id: id.to_owned(),
            region: Some("eu-west-1".to_owned()),
            selector: Selector::default(),
        }
    }

    #[test]
    fn an_object_is_found_by_every_name_that_aws_gives_it() {
        const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/db-AbCdEf";
        for wanted in ["shop/db", ARN] {
            assert!(secret("shop/db").is_called(wanted), "{wanted}");
            assert!(secret(ARN).is_called(wanted), "{wanted}");
        }
        assert!(secret(ARN).is_called("shop/db-AbCdEf"));
        assert!(!secret("shop/db").is_called("shop/d"));
        assert!(!secret("shop/db").is_called(&ARN.replace("eu-west-1", "us-east-1")));
        let parameter = Object { service: Some(Service::ParameterStore), ..secret("/shop/url") };
        assert!(parameter.is_called("shop/url"));
        assert!(parameter.is_called("arn:aws:ssm:eu-west-1:111122223333:parameter/shop/url"));
        assert!(!parameter.is_called("arn:aws:secretsmanager:eu-west-1:111122223333:secret:/shop/url"));
    }
}
