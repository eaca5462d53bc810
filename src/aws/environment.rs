//! Checks AWS's own environment variables when the process starts. The SDK ignores
//! an invalid one, or fails in each call with an error that contains the request.

use std::net::IpAddr;

use http::Uri;

use super::{AwsSetupError, endpoint::check_endpoint};

/// The variables from which the SDK reads endpoints:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
const ENDPOINTS: [&str; 5] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_SQS",
];
const IGNORE_ENDPOINTS: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
/// Booleans, in upper or lower case, that affect where calls go:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-endpoints.html>
const BOOLEANS: [&str; 3] = ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", IGNORE_ENDPOINTS];

/// Checks the variables, and warns about dangerous ones.
///
/// # Errors
/// The first invalid variable.
pub(super) fn check(variable: impl Fn(&str) -> Option<String>) -> Result<(), AwsSetupError> {
    let set = |name: &'static str| Some((name, variable(name).filter(|text| !text.is_empty())?));
    for (name, text) in BOOLEANS.into_iter().filter_map(set) {
        if boolean(&text).is_none() {
            return Err(AwsSetupError::Boolean { name });
        }
    }
    for (name, url) in ENDPOINTS.into_iter().filter_map(set) {
        check_endpoint(&url).map_err(|problem| AwsSetupError::Url { name, problem })?;
    }
    let plain = plain_endpoints(&variable);
    if !plain.is_empty() {
        tracing::warn!(
            "{} uses plain http://, which sends secrets and tokens over the network in clear text; use https://",
            plain.join(", ")
        );
    }
    for name in ["ALL_PROXY", "all_proxy"].into_iter().filter(|name| set(name).is_some()) {
        tracing::warn!("{name} is ignored (AWS's own provider ignores it too); set HTTPS_PROXY");
    }
    Ok(())
}

/// Parses a boolean as AWS's SDKs do.
fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The variables that would send secrets over a network without TLS.
fn plain_endpoints(variable: &impl Fn(&str) -> Option<String>) -> Vec<&'static str> {
    if variable(IGNORE_ENDPOINTS).as_deref().and_then(boolean) == Some(true) {
        return Vec::new();
    }
    let is_plain = |name: &&str| {
        let uri = variable(name).and_then(|url| url.parse::<Uri>().ok());
        uri.is_some_and(|uri| uri.scheme_str() == Some("http") && !stays_on_the_node(&uri))
    };
    ENDPOINTS.into_iter().filter(is_plain).collect()
}

/// Whether requests to `uri` stay on this machine: a loopback address, or a
/// link-local one like those of the EKS and ECS agents.
fn stays_on_the_node(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unicast_link_local(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |asked| set.iter().find(|(name, _)| *name == asked).map(|(_, text)| (*text).to_owned())
    }

    #[test]
    fn an_invalid_variable_is_named() {
        for name in ENDPOINTS {
            for bad in ["sts.example", "//sts.example", "https:/sts.example", "file:///sts", " "] {
                let error = check(with(&[(name, bad)])).unwrap_err();
                assert!(matches!(error, AwsSetupError::Url { name: named, .. } if named == name), "{error}");
            }
            for good in ["", "https://sts.example"] {
                check(with(&[(name, good)])).unwrap_or_else(|error| panic!("{name}={good}: {error}"));
            }
        }
    }

    #[test]
    fn booleans_are_true_or_false_in_any_case() {
        for name in BOOLEANS {
            for good in ["true", "false", "TRUE", "False", "tRuE", ""] {
                check(with(&[(name, good)])).unwrap_or_else(|error| panic!("{name}={good}: {error}"));
            }
            for bad in ["1", "0", "yes", "on", "t", "enabled", " true", "true\n", "\"true\""] {
                let error = check(with(&[(name, bad)])).unwrap_err().to_string();
                assert_eq!(error, format!("{name} must be true or false"), "{bad}");
            }
        }
    }

    #[test]
    fn plain_http_over_a_network_is_a_warning() {
        for url in
            ["http://vpce-1.sts.eu-central-1.vpce.amazonaws.com", "HTTP://10.0.0.1:80", "http://[fd00::1]"]
        {
            assert_eq!(
                plain_endpoints(&with(&[("AWS_ENDPOINT_URL_STS", url)])),
                ["AWS_ENDPOINT_URL_STS"],
                "{url}"
            );
        }
        for url in [
            "https://sts.example",
            "http://127.0.0.1:4566",
            "http://localhost:4566",
            "http://[::1]",
            "http://169.254.170.23",
            "http://[fe80::1]",
        ] {
            assert_eq!(plain_endpoints(&with(&[("AWS_ENDPOINT_URL", url)])), [""; 0], "{url}");
        }
        let ignored = [("AWS_ENDPOINT_URL", "http://x.example"), (IGNORE_ENDPOINTS, "True")];
        assert_eq!(plain_endpoints(&with(&ignored)), [""; 0]);
    }
}
