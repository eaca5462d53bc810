//! What a class reads, as IAM sees it: actions on resources.

use std::collections::BTreeSet;

use crate::model::{
    arn::{Arn, Region},
    class::Class,
    iam,
    message::quoted,
    reference::{Reference, Service},
};

/// The prefix of a parameter that stands for a secret:
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html>
const SECRET_REFERENCE: &str = "aws/reference/secretsmanager/";
/// The prefix of AWS's public parameters, which belong to no account:
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters.html>
const PUBLIC_PARAMETERS: &str = "aws/service/";
/// AWS appends a hyphen and six random letters and digits to the name of a secret.
const SUFFIX_CHARACTERS: usize = 6;

/// Where names are looked up: in the account of the role that reads.
#[derive(Clone, Debug, Default)]
pub struct Home {
    /// Twelve digits; `None` becomes `*`.
    pub account: Option<String>,
    /// `None` follows from the Region.
    pub partition: Option<String>,
}

/// One action on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    pub service: Service,
    /// The ARN; that of a secret ends with `-??????` if the class gives its name.
    pub resource: String,
    pub region: String,
}

/// All that a class reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub reads: BTreeSet<Need>,
    /// What a person should know about them.
    pub notes: BTreeSet<String>,
}

/// A class that has names, but no Region to look them up in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object} is a name, and the class names no region: set --region")]
pub struct NoRegion {
    object: String,
}

impl Need {
    pub fn action(&self) -> &'static str {
        iam::action(self.service)
    }
}

impl Needs {
    /// What `class` reads, in both Regions.
    ///
    /// # Errors
    /// If the class gives a name, and no Region.
    pub fn of(class: &Class, home: &Home) -> Result<Self, NoRegion> {
        let mut needs = Self::default();
        for object in class.objects.iter() {
            let Reference { service, id, .. } = &object.reference;
            if object.optional && *service == Service::SecretsManager && !object.reference.is_arn() {
                needs.notes.insert(format!(
                    "{} is optional: while this secret does not exist, AWS denies it to a policy that names it, and the mount fails; create it first",
                    quoted(id)
                ));
            }
            needs.add(&object.reference, class.region.as_ref(), home)?;
            if let Some(region) = &class.failover_region {
                needs.add(object.failover.as_ref().unwrap_or(&object.reference), Some(region), home)?;
            }
        }
        Ok(needs)
    }

    pub fn extend(&mut self, other: Self) {
        self.reads.extend(other.reads);
        self.notes.extend(other.notes);
    }

    fn add(&mut self, reference: &Reference, region: Option<&Region>, home: &Home) -> Result<(), NoRegion> {
        let Reference { service, id, .. } = reference;
        let arn = Arn::parse(id).filter(|_| reference.is_arn());
        let name = arn.map_or(id.as_str(), |arn| arn.resource);
        if !name.chars().all(|c| is_allowed(*service, c, arn.is_some())) {
            let what = if *service == Service::SecretsManager { "secret" } else { "parameter" };
            self.notes.insert(format!(
                "no {what} can have the name {}, so that nothing is granted for it",
                quoted(id)
            ));
            return Ok(());
        }
        let own = arn.and_then(|arn| Region::parse(arn.region));
        let Some(region) = own.as_ref().or(region) else {
            return Err(NoRegion { object: quoted(id).to_string() });
        };
        let mut resource = match arn {
            Some(_) => id.clone(),
            None => home.named(iam::resource(reference, region, home.account.as_deref()), region),
        };
        match (service, arn) {
            (Service::SecretsManager, Some(arn)) => resource = self.complete(resource, arn),
            (Service::ParameterStore, None) => {
                let name = id.trim_start_matches('/');
                if name.starts_with(PUBLIC_PARAMETERS) {
                    let partition = home.partition(region);
                    resource = format!("arn:{partition}:ssm:{region}::parameter/{name}");
                }
                if let Some(secret) = name.strip_prefix(SECRET_REFERENCE).filter(|name| !name.is_empty()) {
                    let secret = Reference {
                        service: Service::SecretsManager,
                        id: secret.to_owned(),
                        selector: reference.selector.clone(),
                    };
                    self.add(&secret, Some(region), home)?;
                }
            }
            (Service::SecretsManager, None) | (Service::ParameterStore, Some(_)) => {}
        }
        self.reads.insert(Need { service: *service, resource, region: region.to_string() });
        Ok(())
    }

    /// The ARN of a secret as a policy must name it: AWS also finds a secret by its ARN
    /// without the six characters.
    fn complete(&mut self, text: String, arn: Arn<'_>) -> String {
        let suffix = arn.resource.rsplit_once('-').map_or("", |(_, suffix)| suffix);
        if suffix.len() != SUFFIX_CHARACTERS || !suffix.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return text + "-??????";
        }
        if suffix.bytes().all(|b| b.is_ascii_lowercase()) {
            let arn = quoted(&text);
            self.notes.insert(format!(
                "{arn} is taken for a complete ARN; if {suffix:?} belongs to the secret's name, write the complete ARN into the class"
            ));
        }
        text
    }
}

impl Home {
    fn partition<'a>(&'a self, region: &Region) -> &'a str {
        self.partition.as_deref().unwrap_or_else(|| region.partition())
    }

    /// With this partition instead of the Region's.
    fn named(&self, arn: String, region: &Region) -> String {
        let usual = format!("arn:{}:", region.partition());
        match arn.strip_prefix(&usual) {
            Some(rest) => format!("arn:{}:{rest}", self.partition(region)),
            None => arn,
        }
    }
}

/// Whether AWS allows the character in a name. What it does not allow may mean something
/// in a policy: `*`, `?` and `$` do.
fn is_allowed(service: Service, c: char, in_arn: bool) -> bool {
    let others = match service {
        Service::SecretsManager => "/_+=.@-!",
        Service::ParameterStore => "/_.-",
    };
    c.is_ascii_alphanumeric() || others.contains(c) || in_arn && c == ':'
}
