//! ARNs, partitions and the patterns of policies.

/// The partition that a Region belongs to
/// (<https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>).
pub(super) fn partition_of(region: &str) -> &'static str {
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
    PREFIXES.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, name)| name)
}

/// `arn:partition:service:region:account:resource`, split at the first five colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arn<'a> {
    pub(super) partition: &'a str,
    pub(super) service: &'a str,
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    pub(super) resource: &'a str,
}

impl<'a> Arn<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let ("arn", partition, service, region, account, resource) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?)
        else {
            return None;
        };
        Some(Self { partition, service, region, account, resource })
    }
}

/// Partition, account and name of `arn:aws:iam::111122223333:role/path/name`. The name has
/// no path, as in the ARN of a session.
pub(super) fn role_parts(role_arn: &str) -> Option<(&str, &str, &str)> {
    let arn = Arn::parse(role_arn).filter(|arn| arn.service == "iam")?;
    let path = arn.resource.strip_prefix("role/")?;
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    Some((arn.partition, arn.account, name))
}

/// The ARN of a role's session, as errors and CloudTrail show it.
pub(super) fn session_arn(role_arn: &str, session: &str) -> Option<String> {
    let (partition, account, name) = role_parts(role_arn)?;
    Some(format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session}"))
}

/// Whether `text` matches a policy's pattern: `*` matches any characters, `?` matches one.
pub(super) fn matches_pattern(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The place of the last `*`, and where the text that it matches ends so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_follows_the_region() {
        for (region, partition) in [
            ("us-east-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
        ] {
            assert_eq!(partition_of(region), partition, "{region}");
        }
    }

    #[test]
    fn a_session_arn_drops_the_path_of_the_role() {
        assert_eq!(
            session_arn("arn:aws-cn:iam::111122223333:role/team/shop", "me").unwrap(),
            "arn:aws-cn:sts::111122223333:assumed-role/shop/me"
        );
        assert_eq!(role_parts("arn:aws:iam::1:user/x"), None);
    }

    #[test]
    fn stars_and_question_marks_match_as_in_a_policy() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("shop/*", "shop/db", true),
            ("shop/*", "shop", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("db-??????", "db-AbCdEf", true),
            ("db-??????", "db-AbCdE", false),
            ("db", "db", true),
            ("db", "dbx", false),
        ] {
            assert_eq!(matches_pattern(pattern, text), expected, "{pattern} {text}");
        }
    }
}
