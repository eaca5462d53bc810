//! Parses the driver's `attributes` and `secrets`, key by key.

use std::{collections::BTreeMap, time::Duration};

use zeroize::Zeroize;

use super::{
    address_type::AddressType,
    arn::{Region, RoleArn},
    go_text, identity_keys,
    message::quoted,
    mistakes::{Kind, Mistakes, Spot},
    principal::{AssumedRole, ExternalId},
    rules::Rules,
    token::{Tokens, parse_tokens},
    yaml::is_template,
};

/// Maximum number of unknown keys. Each is compared with all parameters.
const MAX_UNKNOWN_KEYS: usize = 200;
const KUBELET_PREFIX: &str = "csi.storage.k8s.io/";
/// The driver's key for the pod's tokens.
pub(super) const TOKENS_KEY: &str = "csi.storage.k8s.io/serviceAccount.tokens";

/// The attributes of the request that have not been taken yet.
pub(super) struct Attributes {
    texts: BTreeMap<String, String>,
}

impl Attributes {
    /// The parameters of a class, without a pod.
    pub(super) fn of_parameters(parameters: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { texts: parameters.into_iter().collect() }
    }

    /// The attributes of a request, and the pod's tokens apart from them. Both arguments
    /// are JSON; the secrets may be empty.
    pub(super) fn of_request(attributes: &str, secrets: &str, mistakes: &mut Mistakes) -> (Self, Tokens) {
        let mut texts = object_of_texts(attributes, "attributes", mistakes);
        // Only kubelet fills the secrets. If kubelet sends its tokens there (as
        // Kubernetes 1.35 can), a pod author may have written the attributes. So tokens
        // in the attributes count only if the secrets contain none.
        let mut in_attributes = texts.remove(TOKENS_KEY).filter(|tokens| !tokens.is_empty());
        let empty = matches!(secrets.trim(), "" | "null");
        let mut secrets = if empty { BTreeMap::new() } else { object_of_texts(secrets, "secrets", mistakes) };
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

    /// Takes a parameter. An empty one counts as missing, as for Go's string maps.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        self.texts.remove(key).filter(|text| !text.is_empty())
    }

    /// Whether the parameter exists, even if it is empty.
    pub(super) fn names(&self, key: &str) -> bool {
        self.texts.contains_key(key)
    }

    /// Takes a name set by kubelet.
    pub(super) fn kubelet(&mut self, key: &str, mistakes: &mut Mistakes) -> String {
        self.name(key, is_kubernetes_name, mistakes)
    }

    /// Takes the namespace set by kubelet: a DNS label, without dots.
    pub(super) fn namespace(&mut self, mistakes: &mut Mistakes) -> String {
        let is_label = |text: &str| is_kubernetes_name(text) && text.len() <= 63 && !text.contains('.');
        self.name("pod.namespace", is_label, mistakes)
    }

    /// Returns an empty text if the name is missing or invalid, because messages quote
    /// it.
    fn name(&mut self, key: &str, fits: impl Fn(&str) -> bool, mistakes: &mut Mistakes) -> String {
        let key = format!("{KUBELET_PREFIX}{key}");
        let text = self.take(&key).unwrap_or_default();
        if text.is_empty() {
            mistakes.add_as(
                Kind::Missing,
                key.as_str(),
                "is missing: the CSIDriver object needs podInfoOnMount: true",
            );
        } else if !fits(&text) {
            mistakes.add(key.as_str(), format!("{} is not a Kubernetes name", quoted(&text)));
            return String::new();
        }
        text
    }

    /// Takes the name of the SecretProviderClass, if the driver sent it.
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
            let (kind, template) = match is_template(&text) {
                true => (Kind::Unrendered, ": a (Helm) template was not rendered"),
                false => (Kind::Invalid, ""),
            };
            mistakes.add_as(kind, key, format!("{} is not the name of a Region{template}", quoted(&text)));
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
            // AWS's own provider treats anything else as "auto".
            other => {
                let warning =
                    format!("preferredAddressType {} is not ipv4, ipv6 or auto; using auto", quoted(other));
                mistakes.warn(Kind::Ignored, "preferredAddressType", warning);
                AddressType::Auto
            }
        }
    }

    pub(super) fn role_arn(&mut self, rules: &Rules, mistakes: &mut Mistakes) -> Option<RoleArn> {
        if !rules.allow_role_arn {
            self.take("roleArn")?;
            mistakes.add_as(Kind::Forbidden, "roleArn", "is not allowed, because the provider runs without --allow-role-arn; annotate the ServiceAccount with eks.amazonaws.com/role-arn instead");
            return None;
        }
        self.role("roleArn", rules, mistakes)
    }

    pub(super) fn assumed_role(&mut self, rules: &Rules, mistakes: &mut Mistakes) -> Option<AssumedRole> {
        const EXTERNAL_ID: &str = "assumeRoleExternalId";
        let names_role = self.texts.get("assumeRoleArn").is_some_and(|text| !text.is_empty());
        let arn = self.role("assumeRoleArn", rules, mistakes);
        let external_id = self.take(EXTERNAL_ID).map(|text| {
            let id = ExternalId::parse(&text);
            if id.is_none() {
                mistakes.add(
                    EXTERNAL_ID,
                    "is not an external id: STS allows 2 to 1224 letters, digits and the characters _+=,.@:/-",
                );
            }
            if !names_role {
                mistakes.add_as(Kind::Missing, EXTERNAL_ID, "needs assumeRoleArn, the role that requires the external id");
            }
            id
        });
        Some(AssumedRole { arn: arn?, external_id: external_id.flatten() })
    }

    /// Takes the ARN of a role, if the operator allows classes to name it.
    fn role(&mut self, key: &str, rules: &Rules, mistakes: &mut Mistakes) -> Option<RoleArn> {
        let text = self.take(key)?;
        let Some(role) = RoleArn::parse(&text) else {
            mistakes.add(key, format!("{} is not arn:<partition>:iam::<account>:role/<name>", quoted(&text)));
            return None;
        };
        if rules.allowed_roles.as_ref().is_some_and(|patterns| !patterns.allow(&role)) {
            mistakes.add_as(
                Kind::Forbidden,
                key,
                format!("{role} is not among the roles that the provider allows (--allowed-roles)"),
            );
            return None;
        }
        Some(role)
    }

    pub(super) fn refresh_interval(
        &mut self,
        min: Duration,
        max: Duration,
        mistakes: &mut Mistakes,
    ) -> Option<Duration> {
        let text = self.take("refreshInterval")?;
        let interval = go_text::parse_duration(&text);
        let fitting = interval.filter(|interval| (min..=max).contains(interval));
        if fitting.is_none() {
            let (min, max) = (go_text::show_duration(min), go_text::show_duration(max));
            mistakes.add("refreshInterval", format!("{} is not a duration such as \"1m30s\" between {min} (--min-refresh-interval) and {max} (--max-refresh-interval)", quoted(&text)));
        }
        fitting
    }

    /// Warns about every parameter that was not taken. One that looks as if it chose an
    /// identity is a mistake, unless it is empty.
    pub(super) fn warn_of_the_rest(&mut self, mistakes: &mut Mistakes) {
        let mut rest = std::mem::take(&mut self.texts);
        if rest.len() > MAX_UNKNOWN_KEYS {
            mistakes.add_as(
                Kind::TooLarge,
                "parameters",
                format!("have {} unknown keys; the maximum is {MAX_UNKNOWN_KEYS}", rest.len()),
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
            let spot = Spot::from(key.as_str());
            match identity_keys::refusal(&key).filter(|_| !is_empty) {
                Some(refusal) => {
                    mistakes.add_as(Kind::UnknownIdentity, spot.named(quoted(&key).to_string()), refusal);
                }
                None => {
                    let warning = format!("unknown parameter {} is ignored", quoted(&key));
                    mistakes.warn(Kind::Unknown(key), &spot, warning);
                }
            }
        }
    }
}

fn is_kubernetes_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    text.len() <= 253 && text.bytes().all(allowed) && !text.contains("..")
}

/// Parses a JSON object of strings. Errors contain only the position, because
/// serde_json's own message may quote a token.
fn object_of_texts(json: &str, field: &str, mistakes: &mut Mistakes) -> BTreeMap<String, String> {
    serde_json::from_str(json).unwrap_or_else(|error| {
        mistakes.add(field, format!("is not a JSON object of strings (column {})", error.column()));
        BTreeMap::new()
    })
}
