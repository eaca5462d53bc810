//! Where a queue is, and what it covers: the values of `--queue-url` and `--covers`.

use std::fmt;

use crate::{
    model::{
        arn::{Region, is_account},
        message::quoted,
    },
    notices::Area,
};

/// Maximum length of a queue's name, and of a URL.
const MAX_NAME_BYTES: usize = 80;
const MAX_URL_BYTES: usize = 400;

/// The URL of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueUrl {
    url: String,
    region: Region,
    account: String,
}

impl QueueUrl {
    /// Parses `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, also with the host of a VPC
    /// endpoint, of FIPS, or of another partition.
    ///
    /// # Errors
    /// If the URL does not say the queue's Region and account.
    pub fn parse(url: &str) -> Result<Self, String> {
        Self::parts(url).ok_or_else(|| {
            format!(
                "{} is not the URL of a queue, such as https://sqs.eu-west-1.amazonaws.com/111122223333/latchkey-notices",
                quoted(url)
            )
        })
    }

    fn parts(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        let (host, path) = rest.split_once('/')?;
        let (account, name) = path.split_once('/')?;
        let host = host.split(':').next()?;
        let labels: Vec<&str> = host.split('.').collect();
        let region = labels.windows(2).find_map(|pair| match *pair {
            ["sqs" | "sqs-fips", region] => Region::parse(region),
            [region, "queue"] => Region::parse(region),
            _ => None,
        })?;
        let is_name = (1..=MAX_NAME_BYTES).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let whole = is_account(account) && is_name && url.len() <= MAX_URL_BYTES;
        whole.then(|| Self { url: url.to_owned(), region, account: account.to_owned() })
    }

    pub fn as_str(&self) -> &str {
        &self.url
    }

    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The account and Region whose events come in this queue.
    pub fn area(&self) -> Area {
        Area { account: self.account.clone(), region: self.region.to_string() }
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Parses `ACCOUNT/REGION`.
///
/// # Errors
/// If the text is anything else.
pub fn area(text: &str) -> Result<Area, String> {
    let parts = text.split_once('/').filter(|(account, _)| is_account(account));
    let area = parts.and_then(|(account, region)| {
        Some(Area { account: account.to_owned(), region: Region::parse(region)?.to_string() })
    });
    area.ok_or_else(|| format!("{} is not ACCOUNT/REGION, such as 111122223333/eu-west-1", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queues_url_says_its_region_and_account() {
        for url in [
            "https://sqs.eu-west-1.amazonaws.com/111122223333/latchkey-notices",
            "https://sqs-fips.eu-west-1.amazonaws.com/111122223333/q",
            "https://sqs.eu-west-1.api.aws/111122223333/q",
            "https://eu-west-1.queue.amazonaws.com/111122223333/q",
            "https://vpce-0a1b.sqs.eu-west-1.vpce.amazonaws.com/111122223333/q_1",
            "http://sqs.eu-west-1.localhost.localstack.cloud:4566/111122223333/q",
        ] {
            let queue = QueueUrl::parse(url).unwrap();
            let area = queue.area();
            assert_eq!((area.account.as_str(), area.region.as_str()), ("111122223333", "eu-west-1"), "{url}");
        }
        let china = QueueUrl::parse("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/q").unwrap();
        assert_eq!(china.region().as_str(), "cn-north-1");
        for bad in [
            "",
            "latchkey-notices",
            "arn:aws:sqs:eu-west-1:111122223333:q",
            "https://sqs.eu-west-1.amazonaws.com/111122223333",
            "https://sqs.eu-west-1.amazonaws.com/1/q",
            "https://sqs.eu-west-1.amazonaws.com/111122223333/q/x",
            "https://sqs.eu-west-1.amazonaws.com/111122223333/",
            "https://sqs.amazonaws.com/111122223333/q",
            "https://queue.amazonaws.com/111122223333/q",
            "ftp://sqs.eu-west-1.amazonaws.com/111122223333/q",
        ] {
            let error = QueueUrl::parse(bad).unwrap_err();
            assert!(error.contains("is not the URL of a queue"), "{error}");
        }
    }

    #[test]
    fn an_area_is_an_account_and_a_region() {
        assert_eq!(area("111122223333/eu-west-1").unwrap().region, "eu-west-1");
        for bad in ["", "111122223333", "eu-west-1/111122223333", "1/eu-west-1", "111122223333/EU"] {
            area(bad).unwrap_err();
        }
    }
}
