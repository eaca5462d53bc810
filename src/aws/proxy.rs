//! Which calls to AWS go through which proxy. The variables mean what they mean to
//! Go's net/http, and so to AWS's own provider:
//! <https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config>

use std::{fmt, net::IpAddr, sync::Arc};

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
    endpoint::{UrlError, check_host},
};

/// What the environment says of proxies.
pub(super) struct Proxies {
    /// The proxy for `https://` URLs.
    https: Option<ProxyConfig>,
    /// The proxy for `http://` URLs.
    http: Option<ProxyConfig>,
    bypass: Bypass,
}

impl Proxies {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in capitals or not; the
    /// first that is not empty counts.
    ///
    /// # Errors
    /// The variable that names a proxy which cannot be used.
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
        // The errors of the HTTPS client repeat the URL, and with it the password.
        let https = url(["HTTPS_PROXY", "https_proxy"])?
            .map(|url| ProxyConfig::https(url).map_err(|_| ("HTTPS_PROXY", UrlError::NoProxy)));
        let http = url(["HTTP_PROXY", "http_proxy"])?
            .map(|url| ProxyConfig::http(url).map_err(|_| ("HTTP_PROXY", UrlError::NoProxy)));
        let bypass =
            first(["NO_PROXY", "no_proxy"]).map_or_else(Bypass::default, |(_, text)| Bypass::of(&text));
        Ok(Self { https: https.transpose()?, http: http.transpose()?, bypass })
    }

    /// A client that goes by them: `direct` where there is no proxy, and one of
    /// `through` for each proxy.
    ///
    /// # Errors
    /// Those of `through`.
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

/// A proxy's URL as the HTTPS client reads it. Without a scheme it is HTTP; it may
/// hold a user and a password.
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
        // Go takes the last '@' for the separator, the HTTPS client the first.
        Some(user) if is_user(user) => format!("{scheme}://{}@{host}", user.replace('@', "%40")),
        Some(_) => return Err(UrlError::NoProxy),
        None => format!("{scheme}://{host}"),
    };
    let url: Uri = url.parse().map_err(|_| UrlError::NoProxy)?;
    check_host(&url).map_err(|_| UrlError::NoProxy)?;
    Ok(url)
}

/// Whether a URL may hold `text` as its user and password: other characters, such
/// as `#`, must be percent-encoded.
fn is_user(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
    let escapes = text.split('%').skip(1);
    let is_escape = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    text.bytes().all(allowed) && escapes.into_iter().all(is_escape)
}

/// What is reached without a proxy (`NO_PROXY`).
#[derive(Debug, Default)]
struct Bypass {
    everything: bool,
    addresses: Vec<(Network, Option<String>)>,
    domains: Vec<Domain>,
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    bits: u32,
}

#[derive(Debug)]
struct Domain {
    /// With a dot at its start.
    suffix: String,
    /// Whether the domain itself is meant, too, and not only what is below it.
    itself: bool,
    port: Option<String>,
}

impl Bypass {
    fn of(text: &str) -> Self {
        let mut bypass = Self::default();
        for entry in text.split(',').map(|entry| entry.trim().to_ascii_lowercase()) {
            if entry == "*" {
                return Self { everything: true, ..Self::default() };
            }
            if let Some(network) = Network::parse(&entry) {
                bypass.addresses.push((network, None));
                continue;
            }
            let (host, port) = host_and_port(&entry);
            if host.is_empty() {
                continue;
            }
            if let Ok(address) = host.parse::<IpAddr>() {
                bypass.addresses.push((Network::one(address), port));
                continue;
            }
            // "*.example" is what ".example" is: the domains below it only.
            let host = if host.starts_with("*.") { &host[1..] } else { host };
            let itself = !host.starts_with('.');
            let suffix = if itself { format!(".{host}") } else { host.to_owned() };
            bypass.domains.push(Domain { suffix, itself, port });
        }
        bypass
    }

    /// Whether no proxy is used for `uri`. One is never used for this machine.
    fn has(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        let default_port = if uri.scheme_str() == Some("http") { 80 } else { 443 };
        let port = uri.port_u16().unwrap_or(default_port).to_string();
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let fits = |wanted: &Option<String>| wanted.as_ref().is_none_or(|wanted| *wanted == port);
        self.everything
            || host == "localhost"
            || address.is_some_and(|address| {
                address.is_loopback()
                    || self.addresses.iter().any(|(network, port)| network.has(address) && fits(port))
            })
            || self.domains.iter().any(|domain| {
                let named = host.ends_with(&domain.suffix) || domain.itself && host == domain.suffix[1..];
                named && fits(&domain.port)
            })
    }
}

/// As Go's `net.SplitHostPort`: what it refuses is a host without a port.
fn host_and_port(entry: &str) -> (&str, Option<String>) {
    match entry.rsplit_once(':') {
        Some((host, port)) if host.starts_with('[') && host.ends_with(']') => {
            (&host[1..host.len() - 1], some_port(port))
        }
        Some((host, port)) if !host.contains([':', '[', ']']) => (host, some_port(port)),
        Some(_) | None => (entry, None),
    }
}

fn some_port(port: &str) -> Option<String> {
    (!port.is_empty()).then(|| port.to_owned())
}

impl Network {
    fn one(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, bits: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// `10.0.0.0/8`.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let digits = bits.bytes().all(|b| b.is_ascii_digit());
        let bits: u32 = bits.parse().ok().filter(|bits| digits && *bits <= most)?;
        match address.to_canonical() {
            canonical @ IpAddr::V4(_) if most == 128 && bits >= 96 => {
                Some(Self { address: canonical, bits: bits - 96 })
            }
            _ => Some(Self { address, bits }),
        }
    }

    fn has(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// The client for each way to AWS.
struct Routes<Way = SharedHttpClient> {
    direct: Way,
    https: Option<Way>,
    http: Option<Way>,
    bypass: Arc<Bypass>,
}

// A proxy's URL may hold a password.
impl<Way> fmt::Debug for Routes<Way> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Routes")
    }
}

impl<Way> Routes<Way> {
    fn to(&self, uri: &Uri) -> &Way {
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
        // What is no URI fails in the client, with its own words.
        let way = request.uri().parse().map_or(&self.direct, |uri| self.to(&uri));
        way.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes(no_proxy: &str, url: &str) -> &'static str {
        let routes = Routes {
            direct: "around",
            https: Some("through"),
            http: Some("through"),
            bypass: Arc::new(Bypass::of(no_proxy)),
        };
        routes.to(&url.parse().unwrap())
    }

    const SECRETS: &str = "https://secretsmanager.us-east-1.amazonaws.com/";

    #[test]
    fn no_proxy_means_what_it_means_to_go() {
        for around in [
            "*",
            "x, *",
            "*.amazonaws.com",
            "localhost,*.amazonaws.com",
            ".amazonaws.com",
            "amazonaws.com",
            " AmazonAWS.com ",
            "secretsmanager.us-east-1.amazonaws.com",
            "secretsmanager.us-east-1.amazonaws.com:443",
            "*.amazonaws.com:443",
            "amazonaws.com:443",
            ",,amazonaws.com",
            "10.0.0.0/8,amazonaws.com:",
        ] {
            assert_eq!(goes(around, SECRETS), "around", "{around}");
        }
        for through in [
            "",
            ",",
            "*.secretsmanager.us-east-1.amazonaws.com",
            ".secretsmanager.us-east-1.amazonaws.com",
            "aws.com",
            "*amazonaws.com",
            "secretsmanager.*",
            "amazonaws.com:80",
            "https://secretsmanager.us-east-1.amazonaws.com",
            "amazonaws.com *.internal",
            ":443",
            "0.0.0.0/0",
        ] {
            assert_eq!(goes(through, SECRETS), "through", "{through}");
        }
    }

    #[test]
    fn addresses_are_named_one_by_one_or_by_their_first_bits() {
        for (entry, url) in [
            ("10.1.2.3", "https://10.1.2.3"),
            ("10.1.2.3:8443", "https://10.1.2.3:8443"),
            ("10.0.0.0/8", "https://10.1.2.3"),
            ("10.9.9.9/8", "https://10.1.2.3:1"),
            ("0.0.0.0/0", "https://10.1.2.3"),
            ("::ffff:10.1.2.3", "https://10.1.2.3"),
            ("10.1.2.3", "https://[::ffff:10.1.2.3]"),
            ("fd00::/8", "https://[fd00:1::2]"),
            ("fd00::1", "https://[fd00::1]"),
            ("[fd00::1]:443", "https://[fd00::1]"),
            ("", "https://127.0.0.1"),
            ("", "https://127.9.9.9:8443"),
            ("", "https://[::1]"),
            ("", "http://LocalHost:4566"),
        ] {
            assert_eq!(goes(entry, url), "around", "{entry} {url}");
        }
        for (entry, url) in [
            ("10.1.2.3", "https://10.1.2.4"),
            ("10.1.2.3:443", "https://10.1.2.3:8443"),
            ("10.0.0.0/8", "https://11.1.2.3"),
            ("10.0.0.0/33", "https://10.1.2.3"),
            ("10.0.0.0/+8", "https://10.1.2.3"),
            ("fd00::/8", "https://10.1.2.3"),
            ("[fd00::1]", "https://[fd00::1]"),
            ("", "https://169.254.1.1"),
            ("", "https://localhost.example"),
        ] {
            assert_eq!(goes(entry, url), "through", "{entry} {url}");
        }
    }

    fn read(set: &[(&str, &str)]) -> Result<(bool, bool), (&'static str, UrlError)> {
        let variable =
            |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, text)| (*text).to_owned());
        Proxies::from_variables(variable).map(|proxies| (proxies.https.is_some(), proxies.http.is_some()))
    }

    #[test]
    fn each_scheme_has_its_own_proxy_and_capitals_come_first() {
        assert_eq!(read(&[]), Ok((false, false)));
        assert_eq!(read(&[("HTTPS_PROXY", ""), ("https_proxy", "proxy:3128")]), Ok((true, false)));
        assert_eq!(read(&[("http_proxy", "http://proxy")]), Ok((false, true)));
        // Go reads no ALL_PROXY.
        assert_eq!(read(&[("ALL_PROXY", "http://proxy")]), Ok((false, false)));
        assert_eq!(read(&[("HTTPS_PROXY", "proxy"), ("https_proxy", "no proxy")]), Ok((true, false)));
    }

    #[test]
    fn a_proxy_is_a_url_or_a_host_and_may_ask_for_a_password() {
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
            assert_eq!(read(&[("https_proxy", bad)]), Err(("https_proxy", UrlError::NoProxy)), "{bad:?}");
        }
        for socks in ["socks5://proxy:1080", "SOCKS5H://proxy:1080", "socks4://proxy"] {
            assert_eq!(read(&[("HTTP_PROXY", socks)]), Err(("HTTP_PROXY", UrlError::Socks)), "{socks}");
        }
    }
}
