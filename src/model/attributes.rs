//! The driver's `attributes` and `secrets`, taken apart key by key.

use std::{collections::BTreeMap, time::Duration};

use zeroize::Zeroize;

use super::{
    arn::{Region, RoleArn},
    class::AddressType,
    go_text, identity_keys,
    message::quoted,
    mistakes::Mistakes,
    principal::{AssumedRole, ExternalId},
    request::RawRequest,
    rules::Rules,
    token::{Tokens, parse_tokens},
    yaml::is_template,
};

/// Most keys that are neither parameters nor kubelet's: each is compared with all
/// parameters.
const MAX_UNKNOWN_KEYS: usize = 200;
const KUBELET_PREFIX: &str = "csi.storage.k8s.io/";
/// Where the driver puts the pod's tokens.
pub(super) const TOKENS_KEY: &str = "csi.storage.k8s.io/serviceAccount.tokens";

/// The request's attributes that have not been taken yet.
pub(super) struct Attributes {
    texts: BTreeMap<String, String>,
}

impl Attributes {
    /// The parameters of a class, without a pod.
    pub(super) fn of_parameters(parameters: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { texts: parameters.into_iter().collect() }
    }

    /// The attributes of a request, and the pod's tokens apart from them.
    pub(super) fn of_request(raw: &RawRequest, mistakes: &mut Mistakes) -> (Self, Tokens) {
        let mut texts = object_of_texts(&raw.attributes, "attributes", mistakes);
        // kubelet alone fills the secrets. The attributes are a pod author's where
        // kubelet sends its tokens among the secrets only (Kubernetes 1.35 can), so
        // they count only where the secrets hold none.
        let mut in_attributes = texts.remove(TOKENS_KEY).filter(|tokens| !tokens.is_empty());
        let empty = matches!(raw.secrets.trim(), "" | "null");
        let mut secrets =
            if empty { BTreeMap::new() } else { object_of_texts(&raw.secrets, "secrets", mistakes) };
        let in_secrets = secrets.remove(TOKENS_KEY).filter(|tokens| !tokens.is_empty());
        secrets.values_mut().for_each(Zeroize::zeroize);
        if in_secrets.is_some() {
            in_attributes.zeroize();
        }
        let tokens = in_secrets.or(in_attributes);
        let parsed = tokens.map_or_else(Tokens::new, |mut json| {
            let parsed = parse_tokens(&json);
            json.zeroize();
            parsed.unwrap_or_else(|| {
                mistakes.add(TOKENS_KEY, "is not a JSON object of audience to {token, expirationTimestamp}");
                Tokens::new()
            })
        });
        (Self { texts }, parsed)
    }

    /// A parameter; empty counts as missing, as for Go's string maps.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        self.texts.remove(key).filter(|text| !text.is_empty())
    }

    /// Whether there is such a parameter, empty or not.
    pub(super) fn names(&self, key: &str) -> bool {
        self.texts.contains_key(key)
    }

    /// A name that kubelet states.
    pub(super) fn kubelet(&mut self, key: &str, mistakes: &mut Mistakes) -> String {
        self.name(key, is_kubernetes_name, mistakes)
    }

    /// The namespace that kubelet states: a DNS label, which holds no dot.
    pub(super) fn namespace(&mut self, mistakes: &mut Mistakes) -> String {
        let is_label = |text: &str| is_kubernetes_name(text) && text.len() <= 63 && !text.contains('.');
        self.name("pod.namespace", is_label, mistakes)
    }

    /// Empty when it is not there or does not fit: messages quote it.
    fn name(&mut self, key: &str, fits: impl Fn(&str) -> bool, mistakes: &mut Mistakes) -> String {
        let key = format!("{KUBELET_PREFIX}{key}");
        let text = self.take(&key).unwrap_or_default();
        if text.is_empty() {
            mistakes.add(&key, "is missing: the CSIDriver object needs podInfoOnMount: true");
        } else if !fits(&text) {
            mistakes.add(&key, format!("{} is not a Kubernetes name", quoted(&text)));
            return String::new();
        }
        text
    }

    /// The SecretProviderClass's name, where the driver tells it.
    pub(super) fn class(&mut self, mistakes: &mut Mistakes) -> String {
        let text = self.take("secretProviderClass").unwrap_or_default();
        if text.is_empty() || is_kubernetes_name(&text) {
            return text;
        }
        mistakes.add("secretProviderClass", format!("{} is not a Kubernetes name", quoted(&text)));
        String::new()
    }

    pub(super) fn region(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<Region> {
        let text = self.take(key)?;
        let region = Region::parse(&text);
        if region.is_none() {
            let template = if is_template(&text) { ": a template (of Helm) was not rendered" } else { "" };
            mistakes.add(key, format!("{} is not a Region's name{template}", quoted(&text)));
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
        mistakes
            .add("pathTranslation", format!("{} is neither a single character nor \"False\"", quoted(&text)));
        None
    }

    pub(super) fn use_pod_identity(&mut self, mistakes: &mut Mistakes) -> Option<bool> {
        let text = self.take("usePodIdentity")?;
        let choice = go_text::parse_bool(&text);
        if choice.is_none() {
            mistakes.add("usePodIdentity", format!("{} is neither \"true\" nor \"false\"", quoted(&text)));
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
                    "preferredAddressType {} is none of ipv4, ipv6, auto; auto is used",
                    quoted(other)
                ));
                AddressType::Auto
            }
        }
    }

    /// `roleArn`.
    pub(super) fn role_arn(&mut self, rules: &Rules, mistakes: &mut Mistakes) -> Option<RoleArn> {
        if !rules.allow_role_arn {
            self.take("roleArn")?;
            mistakes.add("roleArn", "is not allowed here, because the provider runs without --allow-role-arn; annotate the ServiceAccount with eks.amazonaws.com/role-arn");
            return None;
        }
        self.role("roleArn", rules, mistakes)
    }

    /// `assumeRoleArn` and `assumeRoleExternalId`.
    pub(super) fn assumed_role(&mut self, rules: &Rules, mistakes: &mut Mistakes) -> Option<AssumedRole> {
        const EXTERNAL_ID: &str = "assumeRoleExternalId";
        let names_role = self.texts.get("assumeRoleArn").is_some_and(|text| !text.is_empty());
        let arn = self.role("assumeRoleArn", rules, mistakes);
        let external_id = self.take(EXTERNAL_ID).map(|text| {
            let id = ExternalId::parse(&text);
            if id.is_none() {
                mistakes.add(
                    EXTERNAL_ID,
                    "is no external id: STS takes 2 to 1224 letters, digits and characters of _+=,.@:/-",
                );
            }
            if !names_role {
                mistakes.add(EXTERNAL_ID, "needs assumeRoleArn, the role that asks for the external id");
            }
            id
        });
        Some(AssumedRole { arn: arn?, external_id: external_id.flatten() })
    }

    /// A role's ARN that the operator lets a class name.
    fn role(&mut self, key: &str, rules: &Rules, mistakes: &mut Mistakes) -> Option<RoleArn> {
        let text = self.take(key)?;
        let Some(role) = RoleArn::parse(&text) else {
            mistakes.add(key, format!("{} is not arn:<partition>:iam::<account>:role/<name>", quoted(&text)));
            return None;
        };
        if rules.allowed_roles.as_ref().is_some_and(|patterns| !patterns.allow(&role)) {
            mistakes.add(
                key,
                format!(
                    "{role} is not among the roles that --allowed-roles of the provider lets classes name"
                ),
            );
            return None;
        }
        Some(role)
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
            mistakes.add("refreshInterval", format!("{} is not a duration between {least} (--min-refresh-interval) and {most} (--max-refresh-interval), such as \"1m30s\"", quoted(&text)));
        }
        fitting
    }

    /// Names every parameter that nothing has asked for; one that looks as if it
    /// chose an identity is a mistake, unless it is empty.
    pub(super) fn warn_of_the_rest(&mut self, mistakes: &mut Mistakes) {
        let mut rest = std::mem::take(&mut self.texts);
        if rest.len() > MAX_UNKNOWN_KEYS {
            mistakes.add(
                "parameters",
                format!("have {} keys that are unknown here; the maximum is {MAX_UNKNOWN_KEYS}", rest.len()),
            );
            rest.values_mut().for_each(Zeroize::zeroize);
            return;
        }
        for (key, mut text) in rest {
            let is_empty = text.is_empty();
            text.zeroize();
            if key.starts_with(KUBELET_PREFIX) {
                continue;
            }
            match identity_keys::refusal(&key).filter(|_| !is_empty) {
                Some(refusal) => mistakes.add(&quoted(&key).to_string(), refusal),
                None => mistakes.warn(format!("unknown parameter {} is ignored", quoted(&key))),
            }
        }
    }
}

fn is_kubernetes_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    text.len() <= 253 && text.bytes().all(allowed) && !text.contains("..")
}

/// serde_json's own message may quote a token, so only the place is told.
fn object_of_texts(json: &str, field: &str, mistakes: &mut Mistakes) -> BTreeMap<String, String> {
    serde_json::from_str(json).unwrap_or_else(|error| {
        mistakes.add(field, format!("is not a JSON object of texts (column {})", error.column()));
        BTreeMap::new()
    })
}
