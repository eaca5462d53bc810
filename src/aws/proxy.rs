//! Chooses the proxy for each call to AWS. The variables mean the same as in Go's
//! net/http, and therefore in AWS's own provider:
//! <https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config>

use std::{fmt, sync::Arc};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use http::Uri;

use super::{
    AwsSetupError,
    bypass::Bypass,
    endpoint::{UrlError, check_host},
};

/// The proxy settings in the environment.
pub(super) struct Proxies {
    /// The proxy for `https://` URLs.
    https: Option<ProxyConfig>,
    /// The proxy for `http://` URLs.
    http: Option<ProxyConfig>,
    bypass: Bypass,
}

impl Proxies {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in upper or lower case. The
    /// upper-case variable wins, unless it is empty.
    ///
    /// # Errors
    /// The variable whose proxy URL is invalid.
    pub(super) fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, (&'static str, UrlError)> {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| {
                let text = variable(name).filter(|text| !text.is_empty())?;
                Some((name, text))
            })
        };
        let url = |names| match first(names) {
            Some((name, text)) => proxy_url(&text).map(Some).map_err(|error| (name, error)),
            None => Ok(None),
        };
        // Drop the errors of the HTTPS client: they repeat the URL with its password.
        let https = url(["HTTPS_PROXY", "https_proxy"])?
            .map(|url| ProxyConfig::https(url).map_err(|_| ("HTTPS_PROXY", UrlError::NoProxy)));
        let http = url(["HTTP_PROXY", "http_proxy"])?
            .map(|url| ProxyConfig::http(url).map_err(|_| ("HTTP_PROXY", UrlError::NoProxy)));
        let bypass =
            first(["NO_PROXY", "no_proxy"]).map_or_else(Bypass::default, |(_, text)| Bypass::of(&text));
        Ok(Self { https: https.transpose()?, http: http.transpose()?, bypass })
    }

    /// Returns a client that follows these settings. It uses `direct` where there is no
    /// proxy, and a client made by `through` for each proxy.
    pub(super) fn client(
        self,
        direct: &SharedHttpClient,
        through: impl Fn(ProxyConfig) -> Result<SharedHttpClient, AwsSetupError>,
    ) -> Result<SharedHttpClient, AwsSetupError> {
        if self.https.is_none() && self.http.is_none() {
            return Ok(direct.clone());
        }
        Ok(SharedHttpClient::new(Routes {
            direct: direct.clone(),
            https: self.https.map(&through).transpose()?,
            http: self.http.map(through).transpose()?,
            bypass: Arc::new(self.bypass),
        }))
    }
}

/// Rewrites a proxy URL for the HTTPS client. The default scheme is HTTP; a user
/// and a password are allowed.
fn proxy_url(text: &str) -> Result<Uri, UrlError> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => {}
        "socks5" | "socks5h" | "socks4" | "socks4a" | "socks" => return Err(UrlError::Socks),
        _ => return Err(UrlError::NoProxy),
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, host) =
        authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let url = match user {
        // Go splits at the last '@', the HTTPS client at the first.
        Some(user) if is_user(user) => format!("{scheme}://{}@{host}", user.replace('@', "%40")),
        Some(_) => return Err(UrlError::NoProxy),
        None => format!("{scheme}://{host}"),
    };
    let url: Uri = url.parse().map_err(|_| UrlError::NoProxy)?;
    check_host(&url).map_err(|_| UrlError::NoProxy)?;
    Ok(url)
}

/// Whether `text` is valid as the user and password of a URL. Other characters,
/// such as `#`, must be percent-encoded.
fn is_user(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
    let escapes = text.split('%').skip(1);
    let is_escape = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    text.bytes().all(allowed) && escapes.into_iter().all(is_escape)
}

/// The client for each route to AWS.
struct Routes<Client = SharedHttpClient> {
    direct: Client,
    https: Option<Client>,
    http: Option<Client>,
    bypass: Arc<Bypass>,
}

// By hand, because a proxy's URL may contain a password.
impl<Client> fmt::Debug for Routes<Client> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Routes")
    }
}

impl<Client> Routes<Client> {
    fn to(&self, uri: &Uri) -> &Client {
        let proxy = if uri.scheme_str() == Some("http") { &self.http } else { &self.https };
        proxy.as_ref().filter(|_| !self.bypass.has(uri)).unwrap_or(&self.direct)
    }
}

impl HttpClient for Routes {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = |client: &SharedHttpClient| client.http_connector(settings, components);
        SharedHttpConnector::new(Routes {
            direct: connector(&self.direct),
            https: self.https.as_ref().map(connector),
            http: self.http.as_ref().map(connector),
            bypass: Arc::clone(&self.bypass),
        })
    }
}

impl HttpConnector for Routes<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        // Let the client report an invalid URI.
        let client = request.uri().parse().map_or(&self.direct, |uri| self.to(&uri));
        client.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_uses_its_own_proxy_except_for_no_proxy_hosts() {
        let routes = Routes {
            direct: "around",
            https: Some("through"),
            http: None,
            bypass: Arc::new(Bypass::of("*.amazonaws.com")),
        };
        for (url, way) in [
            ("https://sts.example", "through"),
            ("https://sts.us-east-1.amazonaws.com", "around"),
            ("https://127.0.0.1", "around"),
            ("http://sts.example", "around"),
        ] {
            assert_eq!(*routes.to(&url.parse().unwrap()), way, "{url}");
        }
    }

    /// The schemes that have a proxy.
    fn read(set: &[(&str, &str)]) -> Result<Vec<&'static str>, (&'static str, UrlError)> {
        let variable =
            |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, text)| (*text).to_owned());
        let proxies = Proxies::from_variables(variable)?;
        let https = proxies.https.is_some().then_some("https");
        let http = proxies.http.is_some().then_some("http");
        Ok(https.into_iter().chain(http).collect())
    }

    #[test]
    fn each_scheme_has_its_own_proxy_and_uppercase_variables_win() {
        for (set, schemes) in [
            (&[][..], &[][..]),
            (&[("HTTPS_PROXY", ""), ("https_proxy", "proxy:3128")], &["https"]),
            (&[("http_proxy", "http://proxy")], &["http"]),
            // Go reads no ALL_PROXY.
            (&[("ALL_PROXY", "http://proxy")], &[]),
            (&[("HTTPS_PROXY", "proxy"), ("https_proxy", "no proxy")], &["https"]),
        ] {
            assert_eq!(read(set).as_deref(), Ok(schemes), "{set:?}");
        }
    }

    #[test]
    fn a_proxy_is_a_url_or_a_host_and_may_have_a_password() {
        for (text, url) in [
            ("proxy.example", "http://proxy.example/"),
            ("proxy.example:3128", "http://proxy.example:3128/"),
            ("HTTPS://proxy.example:3128/", "https://proxy.example:3128/"),
            ("http://user:pass@proxy.example:3128", "http://user:pass@proxy.example:3128/"),
            ("user:p@ss@proxy.example:3128", "http://user:p%40ss@proxy.example:3128/"),
            ("http://user:p%23ss@proxy.example", "http://user:p%23ss@proxy.example/"),
            ("http://[fd00::1]:3128", "http://[fd00::1]:3128/"),
        ] {
            assert_eq!(proxy_url(text).map(|url| url.to_string()).as_deref(), Ok(url), "{text}");
        }
        for bad in [
            "http://",
            "://proxy",
            "http://proxy host:3128",
            "proxy host:3128",
            "http://proxy:port",
            "http://proxy:99999",
            "http://:3128",
            "ftp://proxy",
            "http:/proxy:3128",
            "http://us er:pass@proxy",
            "http://user:p%2@proxy",
            "http://user:pa#ss@proxy",
            "http://proxy\n",
            " ",
        ] {
            let (variable, error) = read(&[("https_proxy", bad)]).unwrap_err();
            assert_eq!(variable, "https_proxy", "{bad:?}");
            assert_eq!(error, UrlError::NoProxy, "{bad:?}");
        }
        for socks in ["socks5://proxy:1080", "SOCKS5H://proxy:1080", "socks4://proxy"] {
            let (variable, error) = read(&[("HTTP_PROXY", socks)]).unwrap_err();
            assert_eq!(variable, "HTTP_PROXY", "{socks}");
            assert_eq!(error, UrlError::Socks, "{socks}");
        }
    }
}
