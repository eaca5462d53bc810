//! Amazon Resource Names, Regions and partitions.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>

use std::fmt;

/// The parts of `arn:partition:service:region:account:resource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov`, or an isolated partition.
    pub partition: &'a str,
    /// `secretsmanager`, `ssm`, `iam`, …
    pub service: &'a str,
    /// Empty for global services.
    pub region: &'a str,
    /// Twelve digits.
    pub account: &'a str,
    /// The rest; may contain colons.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Returns `None` if `text` has fewer than six parts, another prefix, or an empty
    /// partition, service or resource.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let (prefix, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let whole = prefix == "arn" && [partition, service, resource].iter().all(|part| !part.is_empty());
        whole.then_some(Self { partition, service, region, account, resource })
    }
}

/// Whether the text is the id of an AWS account: twelve digits.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The name of a Region, such as `eu-central-1`. It becomes part of a host name, so
/// only lower-case letters, digits and hyphens are allowed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region(String);

impl Region {
    /// Returns `None` if `text` cannot be the name of a Region.
    pub fn parse(text: &str) -> Option<Self> {
        // The form of every Region in every partition: words, then a number.
        // "s3-us-west-2" would give a host name that a customer may own.
        let shaped = text.len() <= 32
            && text.rsplit_once('-').is_some_and(|(words, number)| {
                let letters = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
                words.contains('-')
                    && words.split('-').all(letters)
                    && !number.is_empty()
                    && number.bytes().all(|b| b.is_ascii_digit())
            });
        shaped.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Region's partition, by the prefixes in `partitions.json` of AWS's SDKs.
    pub fn partition(&self) -> &'static str {
        const PREFIXES: [(&str, &str); 8] = [
            ("cn-", "aws-cn"),
            ("us-gov-", "aws-us-gov"),
            ("us-isob-", "aws-iso-b"),
            ("us-isof-", "aws-iso-f"),
            ("eu-isoe-", "aws-iso-e"),
            ("us-iso-", "aws-iso"),
            ("eusc-", "aws-eusc"),
            ("", "aws"),
        ];
        PREFIXES.iter().find(|(prefix, _)| self.0.starts_with(prefix)).map_or("aws", |(_, name)| name)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The Regions that a request reads from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Regions {
    /// Always called first.
    pub primary: Region,
    /// Called only during an outage of the primary Region.
    pub failover: Option<Region>,
}

/// The ARN of an IAM role.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleArn(String);

impl RoleArn {
    /// Returns `None` unless `text` is `arn:<partition>:iam::<12 digits>:role/<name>`.
    pub fn parse(text: &str) -> Option<Self> {
        let arn = Arn::parse(text)?;
        let named = arn.resource.strip_prefix("role/").is_some_and(|name| !name.is_empty());
        let clean = text.len() <= 2048 && text.bytes().all(|b| b.is_ascii_graphic());
        (arn.service == "iam" && arn.region.is_empty() && is_account(arn.account) && named && clean)
            .then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_every_partition_parse() {
        for partition in ["aws", "aws-cn", "aws-us-gov", "aws-iso-b"] {
            let text = format!("arn:{partition}:secretsmanager:xx-yy-1:111122223333:secret:a/b:c-AbCdEf");
            let arn = Arn::parse(&text).unwrap();
            assert_eq!(arn.partition, partition);
            assert_eq!(arn.service, "secretsmanager", "{text}");
            assert_eq!(arn.resource, "secret:a/b:c-AbCdEf", "{text}");
            let role = format!("arn:{partition}:iam::111122223333:role/path/name");
            assert!(RoleArn::parse(&role).is_some(), "{role}");
        }
        for bad in ["", "arn", "arn:aws:ssm:us-east-1:1", "ARN:aws:ssm:us-east-1:1:x", "arn::ssm:r:1:x"] {
            assert_eq!(Arn::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_region_cannot_name_another_host() {
        for good in ["us-east-1", "cn-north-1", "us-gov-west-1", "us-isob-east-1", "eusc-de-east-1"] {
            assert!(Region::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "x",
            "evil.example/",
            "us-east-1.evil",
            "US-EAST-1",
            "us--1",
            "us-east-1#",
            "a@b-c",
            "s3-us-west-2",
            "us-east",
            "us-1",
        ] {
            assert!(Region::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(Region::parse("cn-north-1").unwrap().partition(), "aws-cn");
        assert_eq!(Region::parse("us-gov-west-1").unwrap().partition(), "aws-us-gov");
        assert_eq!(Region::parse("eu-west-1").unwrap().partition(), "aws");
    }

    #[test]
    fn only_a_roles_arn_is_accepted_as_a_role() {
        for bad in [
            "role/x",
            "arn:aws:iam::1:role/x",
            "arn:aws:iam::111122223333:user/x",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:sts::111122223333:role/x",
            "arn:aws:iam::111122223333:role/a\nb",
        ] {
            assert!(RoleArn::parse(bad).is_none(), "{bad}");
        }
    }
}
