//! Endpoint URLs, checked when the process starts: the SDK checks them in each
//! call, and fails with the whole request in its hands.

use http::Uri;

/// Variables that the SDK reads endpoints from:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
const ENDPOINTS: [&str; 4] =
    ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_STS"];
/// Variables that name a proxy.
const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// What is wrong with a URL. It is never shown: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It has no scheme, no host or an impossible port.
    #[error("is not a URL such as https://host.example:443")]
    NoUrl,
    /// It has a part that no request would carry.
    #[error("must not hold a user, a password, a query or a fragment")]
    TooMuch,
}

/// Whether requests can be sent to `url`.
///
/// # Errors
/// What is wrong with it.
pub fn check_endpoint(url: &str) -> Result<(), UrlError> {
    let uri = parse(url)?;
    let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if user || uri.query().is_some() || url.contains('#') {
        return Err(UrlError::TooMuch);
    }
    Ok(())
}

/// The first variable with a URL that cannot be used, and what is wrong with it.
pub(super) fn check_variables(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), (&'static str, UrlError)> {
    let set = |name: &'static str| {
        let url = variable(name).filter(|url| !url.is_empty());
        url.map(|url| (name, url))
    };
    for (name, url) in ENDPOINTS.into_iter().filter_map(set) {
        check_endpoint(&url).map_err(|error| (name, error))?;
    }
    for (name, url) in PROXIES.into_iter().filter_map(set) {
        // Without a scheme it is HTTP; a user and a password may be in it.
        let url = if url.contains("://") { url } else { format!("http://{url}") };
        proxy(&url).map_err(|error| (name, error))?;
    }
    Ok(())
}

fn parse(url: &str) -> Result<Uri, UrlError> {
    let uri: Uri = url.parse().map_err(|_| UrlError::NoUrl)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(UrlError::NoUrl);
    }
    check_host(&uri)?;
    Ok(uri)
}

fn proxy(url: &str) -> Result<(), UrlError> {
    check_host(&url.parse().map_err(|_| UrlError::NoUrl)?)
}

fn check_host(uri: &Uri) -> Result<(), UrlError> {
    let authority = uri.authority().ok_or(UrlError::NoUrl)?;
    let host = authority.host().trim_matches(['[', ']']);
    // What follows the host is nothing or a port.
    let after = authority.as_str().rsplit_once(authority.host()).map_or("", |(_, after)| after);
    let port = after.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
    if host.is_empty() || !port { Err(UrlError::NoUrl) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_scheme_host_port_and_path() {
        for good in [
            "http://127.0.0.1:4566",
            "https://vpce-1.sts.eu-central-1.vpce.amazonaws.com",
            "https://vpce-1.example/",
            "http://[fd00:ec2::23]",
            "http://[::1]:80/v1/path",
        ] {
            assert_eq!(check_endpoint(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "sts.example",
            "sts.example:443",
            "//sts.example",
            "ftp://sts.example",
            "https://",
            "https:///x",
            "https://:443",
            "https://sts.example:",
            "https://sts.example:0",
            "https://sts.example:99999",
            "https://sts example",
            "https://sts.example\n",
            "https//sts.example",
        ] {
            assert_eq!(check_endpoint(bad), Err(UrlError::NoUrl), "{bad:?}");
        }
        for too_much in ["https://a:b@sts.example", "https://a@sts.example", "https://x?y", "https://x/#y"] {
            assert_eq!(check_endpoint(too_much), Err(UrlError::TooMuch), "{too_much}");
        }
    }

    #[test]
    fn a_variable_that_cannot_be_used_is_named() {
        let with = |name: &'static str, value: &'static str| {
            check_variables(move |asked| (asked == name).then(|| value.to_owned())).map_err(|(name, _)| name)
        };
        for name in ENDPOINTS {
            assert_eq!(with(name, "sts.example"), Err(name));
            assert_eq!(with(name, ""), Ok(()));
        }
        for name in PROXIES {
            assert_eq!(with(name, "http://"), Err(name));
            assert_eq!(with(name, "http://user:pass@proxy.example:3128"), Ok(()));
            assert_eq!(with(name, "proxy.example:3128"), Ok(()));
        }
    }
}
