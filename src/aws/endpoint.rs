//! Validates the URLs of endpoints and proxies.

use http::Uri;

/// What is wrong with a URL. The URL itself is never shown, because it may contain
/// a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It has no scheme, no host or an invalid port.
    #[error("is not a URL such as https://host.example:443")]
    NoUrl,
    /// It has a part that requests would not carry.
    #[error("must not contain a user, password, query or fragment")]
    TooMuch,
    #[error(
        "is not a proxy URL such as http://user:password@proxy.example:3128 (percent-encode special characters in the password)"
    )]
    NoProxy,
    #[error("names a SOCKS proxy, which is not supported; use an http:// or https:// proxy")]
    Socks,
}

/// Checks that requests can be sent to `url`.
pub fn check_endpoint(url: &str) -> Result<(), UrlError> {
    let uri = parse(url)?;
    let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if user || uri.query().is_some() || url.contains('#') {
        return Err(UrlError::TooMuch);
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

/// Checks that `uri` has a host, and after it nothing but a port.
pub(super) fn check_host(uri: &Uri) -> Result<(), UrlError> {
    let authority = uri.authority().ok_or(UrlError::NoUrl)?;
    let host = authority.host().trim_matches(['[', ']']);
    let after = authority.as_str().rsplit_once(authority.host()).map_or("", |(_, after)| after);
    let port = after.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
    if host.is_empty() || !port { Err(UrlError::NoUrl) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_host_port_and_path() {
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
}
