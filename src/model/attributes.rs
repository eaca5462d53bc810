//! The driver's `attributes` and `secrets`, taken apart key by key.

use std::{collections::BTreeMap, time::Duration};

use zeroize::Zeroize;

use super::{
    arn::{Region, RoleArn},
    go_text,
    mistakes::Mistakes,
    token::{Tokens, parse_tokens},
};

const KUBELET_PREFIX: &str = "csi.storage.k8s.io/";
/// Where the driver puts the pod's tokens.
pub(super) const TOKENS_KEY: &str = "csi.storage.k8s.io/serviceAccount.tokens";

/// The driver's four fields as they arrive. They hold tokens: no `Debug`.
pub struct RawRequest {
    /// JSON object of texts.
    pub attributes: String,
    /// JSON object of texts, `null` or empty.
    pub secrets: String,
    /// The mount's folder.
    pub target_path: String,
    /// JSON number: the default file mode.
    pub permission: String,
}

impl RawRequest {
    /// The namespace whose turn it is to have the request read; empty when none is
    /// found. It decides about nothing else. A pod author cannot write the text
    /// that is looked for: quotes within a JSON text are escaped.
    pub fn namespace_in_line(&self) -> &str {
        let key = concat!("\"csi.storage.k8s.io/", "pod.namespace\":\"");
        let after = self.attributes.find(key).and_then(|at| self.attributes.get(at + key.len()..));
        after.and_then(|after| after.split_once('"')).map_or("", |(namespace, _)| namespace)
    }
}

/// Which of the Pod Identity agent's addresses to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AddressType {
    /// IPv4, and IPv6 when that does not answer.
    #[default]
    Auto,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// The request's attributes that have not been taken yet.
pub(super) struct Attributes {
    texts: BTreeMap<String, String>,
    pub(super) tokens: Tokens,
}

impl Attributes {
    pub(super) fn read(raw: &RawRequest, mistakes: &mut Mistakes) -> Self {
        let mut texts = object_of_texts(&raw.attributes, "attributes", mistakes);
        // Driver 1.6 copies its choice into the attributes; from Kubernetes
        // 1.35 on kubelet may send the tokens among the secrets alone.
        let tokens = texts.remove(TOKENS_KEY).filter(|tokens| !tokens.is_empty()).or_else(|| {
            let empty = matches!(raw.secrets.trim(), "" | "null");
            let mut secrets =
                if empty { BTreeMap::new() } else { object_of_texts(&raw.secrets, "secrets", mistakes) };
            let tokens = secrets.remove(TOKENS_KEY);
            secrets.values_mut().for_each(Zeroize::zeroize);
            tokens
        });
        let parsed = tokens.map_or_else(Tokens::new, |mut json| {
            let parsed = parse_tokens(&json);
            json.zeroize();
            parsed.unwrap_or_else(|| {
                mistakes.add(TOKENS_KEY, "is not a JSON object of audience to {token, expirationTimestamp}");
                Tokens::new()
            })
        });
        Self { texts, tokens: parsed }
    }

    /// A parameter; empty counts as missing, as for Go's string maps.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        self.texts.remove(key).filter(|text| !text.is_empty())
    }

    pub(super) fn kubelet(&mut self, key: &str, mistakes: &mut Mistakes) -> String {
        let key = format!("{KUBELET_PREFIX}{key}");
        let text = self.take(&key).unwrap_or_default();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        if text.is_empty() {
            mistakes.add(&key, "is missing: the CSIDriver object needs podInfoOnMount: true");
        } else if text.len() > 253 || !text.bytes().all(allowed) || text.contains("..") {
            mistakes.add(&key, format!("{text:?} is not a Kubernetes name"));
        }
        text
    }

    pub(super) fn region(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<Region> {
        let text = self.take(key)?;
        let region = Region::parse(&text);
        if region.is_none() {
            mistakes.add(key, format!("{text:?} is not a Region's name"));
        }
        region
    }

    pub(super) fn translation(&mut self, mistakes: &mut Mistakes) -> Option<char> {
        let Some(text) = self.take("pathTranslation") else { return Some('_') };
        if text.eq_ignore_ascii_case("false") {
            return None;
        }
        let mut chars = text.chars();
        if let (Some(only), None) = (chars.next(), chars.next()) {
            return Some(only);
        }
        mistakes.add("pathTranslation", format!("{text:?} is neither a single character nor \"False\""));
        None
    }

    pub(super) fn use_pod_identity(&mut self, mistakes: &mut Mistakes) -> Option<bool> {
        let text = self.take("usePodIdentity")?;
        let choice = go_text::parse_bool(&text);
        if choice.is_none() {
            mistakes.add("usePodIdentity", format!("{text:?} is neither \"true\" nor \"false\""));
        }
        choice
    }

    pub(super) fn address_type(&mut self, mistakes: &mut Mistakes) -> AddressType {
        let text = self.take("preferredAddressType").unwrap_or_default().to_ascii_lowercase();
        match text.as_str() {
            "ipv4" => AddressType::Ipv4,
            "ipv6" => AddressType::Ipv6,
            "" | "auto" => AddressType::Auto,
            // AWS's own provider takes anything else for "auto".
            other => {
                mistakes.warn(format!(
                    "preferredAddressType {other:?} is none of ipv4, ipv6, auto; auto is used"
                ));
                AddressType::Auto
            }
        }
    }

    pub(super) fn role_arn(&mut self, allowed: bool, mistakes: &mut Mistakes) -> Option<RoleArn> {
        let text = self.take("roleArn")?;
        if !allowed {
            mistakes.add("roleArn", "is not allowed here (--allow-role-arn=false); annotate the ServiceAccount with eks.amazonaws.com/role-arn");
            return None;
        }
        let role = RoleArn::parse(&text);
        if role.is_none() {
            mistakes.add("roleArn", format!("{text:?} is not arn:<partition>:iam::<account>:role/<name>"));
        }
        role
    }

    pub(super) fn refresh_interval(
        &mut self,
        least: Duration,
        most: Duration,
        mistakes: &mut Mistakes,
    ) -> Option<Duration> {
        let text = self.take("refreshInterval")?;
        let interval = go_text::parse_duration(&text);
        let fitting = interval.filter(|interval| (least..=most).contains(interval));
        if fitting.is_none() {
            let (least, most) = (go_text::show_duration(least), go_text::show_duration(most));
            mistakes.add("refreshInterval", format!("{text:?} is not a duration between {least} (--min-refresh-interval) and {most} (--max-refresh-interval), such as \"1m30s\""));
        }
        fitting
    }

    pub(super) fn warn_of_the_rest(&mut self, mistakes: &mut Mistakes) {
        for (key, mut text) in std::mem::take(&mut self.texts) {
            text.zeroize();
            if !key.starts_with(KUBELET_PREFIX) {
                mistakes.warn(format!("unknown parameter {key:?} is ignored"));
            }
        }
    }
}

/// serde_json's own message may quote a token, so only the place is told.
fn object_of_texts(json: &str, field: &str, mistakes: &mut Mistakes) -> BTreeMap<String, String> {
    serde_json::from_str(json).unwrap_or_else(|error| {
        mistakes.add(field, format!("is not a JSON object of texts (column {})", error.column()));
        BTreeMap::new()
    })
}
