//! What a notice and a value that is held have in common.

use super::Area;
use crate::model::arn::Arn;

/// A random suffix ends a secret's ARN: a hyphen and six characters.
const SUFFIX: usize = 7;

/// A secret, no matter in which Region it is replicated, or a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject<'a> {
    service: &'a str,
    account: &'a str,
    /// Empty for a secret: a notice of the primary secret concerns its replicas.
    region: &'a str,
    /// A secret's name without its suffix, which changes when it is created again.
    name: &'a str,
}

impl<'a> Subject<'a> {
    /// `None` if the ARN is neither a secret's nor a parameter's.
    pub fn of(arn: &'a str) -> Option<Self> {
        let Arn { service, region, account, resource, .. } = Arn::parse(arn)?;
        match service {
            "secretsmanager" => {
                let named = resource.strip_prefix("secret:")?;
                let end = named.len().checked_sub(SUFFIX)?;
                let (name, suffix) = named.split_at_checked(end)?;
                (suffix.starts_with('-') && !name.is_empty()).then_some(Self {
                    service,
                    account,
                    region: "",
                    name,
                })
            }
            "ssm" => {
                let name = resource.strip_prefix("parameter/")?;
                Some(Self { service, account, region, name })
            }
            _ => None,
        }
    }
}

impl Area {
    /// The account and Region of an ARN; `None` if it lacks one, as a public
    /// parameter's lacks the account.
    pub fn of(arn: &str) -> Option<Self> {
        let Arn { region, account, .. } = Arn::parse(arn)?;
        let whole = !region.is_empty() && !account.is_empty();
        whole.then(|| Self { account: account.to_owned(), region: region.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/db-AbCdEf";

    #[test]
    fn a_secret_is_the_same_in_every_region_and_after_it_is_created_again() {
        let secret = Subject::of(SECRET).unwrap();
        assert_eq!(Subject::of(&SECRET.replace("eu-west-1", "us-east-1")), Some(secret));
        assert_eq!(Subject::of(&SECRET.replace("AbCdEf", "GhIjKl")), Some(secret));
        for other in ["222233334444", "shop/dc", "shop/db-AbCdEf-GhIjKl"] {
            let other = match other.parse::<u64>() {
                Ok(_) => SECRET.replace("111122223333", other),
                Err(_) => SECRET.replace("shop/db", other),
            };
            assert_ne!(Subject::of(&other), Some(secret), "{other}");
        }
    }

    #[test]
    fn a_parameter_belongs_to_its_region() {
        let arn = "arn:aws:ssm:eu-west-1:111122223333:parameter/shop/url";
        assert!(Subject::of(arn).is_some());
        assert_ne!(Subject::of(arn), Subject::of(&arn.replace("eu-west-1", "us-east-1")));
    }

    #[test]
    fn other_arns_are_no_subjects() {
        for arn in [
            "",
            "arn:aws:s3:::bucket",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:-AbCdEf",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:dbxAbCdEf",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:\u{e4}\u{e4}\u{e4}\u{e4}x",
            "arn:aws:secretsmanager:eu-west-1:111122223333:policy:db-AbCdEf",
            "arn:aws:ssm:eu-west-1:111122223333:document/x",
        ] {
            assert_eq!(Subject::of(arn), None, "{arn}");
        }
    }

    #[test]
    fn a_public_parameter_has_no_area() {
        assert_eq!(Area::of("arn:aws:ssm:eu-west-1::parameter/aws/service/x"), None);
        let area = Area { account: "111122223333".to_owned(), region: "eu-west-1".to_owned() };
        assert_eq!(Area::of(SECRET), Some(area));
    }
}
