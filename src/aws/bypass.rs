//! `NO_PROXY`: the hosts to reach without a proxy, with Go's rules. Entries are
//! names, addresses and ranges, each with or without a port:
//! <https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config>

use std::net::IpAddr;

use http::Uri;

/// The hosts to reach without a proxy.
#[derive(Debug, Default)]
pub(super) struct Bypass {
    everything: bool,
    addresses: Vec<(Network, Option<String>)>,
    domains: Vec<Domain>,
}

/// Addresses that share their first `bits`.
#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    bits: u32,
}

#[derive(Debug)]
struct Domain {
    /// Starts with a dot.
    suffix: String,
    /// Whether the domain itself matches as well as its subdomains.
    itself: bool,
    port: Option<String>,
}

impl Bypass {
    pub(super) fn of(text: &str) -> Self {
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
            // "*.example" means the same as ".example": only subdomains match.
            let host = if host.starts_with("*.") { &host[1..] } else { host };
            let itself = !host.starts_with('.');
            let suffix = if itself { format!(".{host}") } else { host.to_owned() };
            bypass.domains.push(Domain { suffix, itself, port });
        }
        bypass
    }

    /// Whether to reach `uri` without a proxy. This machine never needs one.
    pub(super) fn has(&self, uri: &Uri) -> bool {
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

/// Splits like Go's `net.SplitHostPort`, whose errors mean a host without a port.
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
        let max_bits = if address.is_ipv4() { 32 } else { 128 };
        let digits = bits.bytes().all(|b| b.is_ascii_digit());
        let bits: u32 = bits.parse().ok().filter(|bits| digits && *bits <= max_bits)?;
        match address.to_canonical() {
            canonical @ IpAddr::V4(_) if max_bits == 128 && bits >= 96 => {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn goes(no_proxy: &str, url: &str) -> &'static str {
        if Bypass::of(no_proxy).has(&url.parse().unwrap()) { "around" } else { "through" }
    }

    const SECRETS: &str = "https://secretsmanager.us-east-1.amazonaws.com/";

    #[test]
    fn no_proxy_is_read_as_in_go() {
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
    fn no_proxy_takes_addresses_and_networks() {
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
}
