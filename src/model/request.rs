//! The driver's Mount request as typed values, or every mistake in it.

use std::{fmt, path::PathBuf, sync::Arc};

use zeroize::Zeroize;

use super::{
    arn::Region,
    attributes::Attributes,
    class::{Class, OpenedClass},
    file::FileMode,
    message::quoted,
    mistakes::{Invalid, Kind, Mistakes},
    objects::{Objects, ObjectsText},
    rules::Rules,
    token::Tokens,
};

/// The driver's four fields as they arrive. They hold tokens, so there is no `Debug`.
pub struct RawRequest {
    /// JSON object of strings.
    pub attributes: String,
    /// JSON object of strings, `null`, or empty.
    pub secrets: String,
    /// The folder to mount into.
    pub target_path: String,
    /// JSON number: the default file mode.
    pub permission: String,
}

/// The pod that mounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub service_account: String,
}

/// A checked Mount request. The pod's tokens are apart from it, so that what keeps
/// the request does not keep them.
#[derive(Debug)]
pub struct MountRequest {
    pub pod: Pod,
    pub class: Class,
    /// The folder to mount into.
    pub target_path: PathBuf,
}

/// A request whose objects are not parsed yet.
pub struct Opened {
    pod: Pod,
    target_path: PathBuf,
    tokens: Tokens,
    class: OpenedClass,
}

impl RawRequest {
    /// Bytes of the fields that a pod author and kubelet write.
    pub fn bytes(&self) -> usize {
        self.attributes.len() + self.secrets.len()
    }

    /// The namespace to account the parsing to; empty when there is none. Nothing
    /// else depends on it. A pod author cannot write the text that is searched for,
    /// because quotes inside a JSON string are escaped.
    pub fn namespace_in_line(&self) -> &str {
        let (_, after) =
            self.attributes.split_once(r#""csi.storage.k8s.io/pod.namespace":""#).unwrap_or_default();
        after.split_once('"').map_or("", |(namespace, _)| namespace)
    }
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Opened {
    /// Parses everything but the objects, and zeroizes the raw texts.
    pub fn open(mut raw: RawRequest, rules: &Rules) -> Self {
        let mut mistakes = Mistakes::within(&rules.limits);
        let (mut attributes, tokens) = Attributes::of_request(&raw.attributes, &raw.secrets, &mut mistakes);
        raw.attributes.zeroize();
        raw.secrets.zeroize();
        let pod = Pod {
            namespace: attributes.namespace(&mut mistakes),
            name: attributes.kubelet("pod.name", &mut mistakes),
            uid: attributes.kubelet("pod.uid", &mut mistakes),
            service_account: attributes.kubelet("serviceAccount.name", &mut mistakes),
        };
        let default_mode = default_mode(&raw.permission, &mut mistakes);
        if raw.target_path.is_empty() {
            mistakes.add_as(Kind::Missing, "target_path", "is missing");
        }
        let name = attributes.class(&mut mistakes);
        let class = OpenedClass::open(name, attributes, default_mode, rules, mistakes);
        Self { pod, target_path: PathBuf::from(raw.target_path), tokens, class }
    }

    /// The pod's namespace; empty when the request does not name it.
    pub fn namespace(&self) -> &str {
        &self.pod.namespace
    }

    /// The pod, and the name of its SecretProviderClass, as far as the request has them.
    pub fn named(&self) -> (Pod, String) {
        (self.pod.clone(), self.class.name().to_owned())
    }

    /// What the objects are made of.
    pub fn text(&self) -> &ObjectsText {
        self.class.text()
    }

    /// Parses the objects, unless they are `known`.
    ///
    /// # Errors
    /// Every mistake of the request, each with its place.
    pub fn read(self, known: Option<Arc<Objects>>, rules: &Rules) -> Result<(MountRequest, Tokens), Invalid> {
        let Self { pod, target_path, tokens, class } = self;
        let heading = heading(&pod.namespace, class.name());
        let class = class.read(known, rules, || heading)?;
        Ok((MountRequest { pod, class, target_path }, tokens))
    }
}

impl MountRequest {
    /// Parses and checks the driver's request, and zeroizes the raw texts.
    ///
    /// # Errors
    /// Every mistake of the request, each with its place.
    pub fn parse(raw: RawRequest, rules: &Rules) -> Result<(Self, Tokens), Invalid> {
        Opened::open(raw, rules).read(None, rules)
    }

    /// The approximate memory that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.target_path.as_os_str().len() + self.class.objects.bytes()
    }

    /// Repeats the checks that need the primary Region, when it became known only
    /// after parsing.
    ///
    /// # Errors
    /// A Region that is not allowed, and every object of another Region.
    pub fn check_region(&self, region: &Region, rules: &Rules) -> Result<(), Invalid> {
        self.class.check_region(region, rules, || heading(&self.pod.namespace, &self.class.name))
    }
}

/// Opens the error about a request.
fn heading(namespace: &str, class: &str) -> String {
    if class.is_empty() {
        return "the mount request is invalid".to_owned();
    }
    let namespace = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    format!(
        "the mount request is invalid (SecretProviderClass {namespace}{class} and the pod's volumeAttributes)"
    )
}

fn default_mode(permission: &str, mistakes: &mut Mistakes) -> FileMode {
    let bits = serde_json::from_str::<u32>(permission).ok();
    bits.and_then(FileMode::new).unwrap_or_else(|| {
        mistakes
            .add("permission", format!("{} is not a file mode of at most 511 (0777)", quoted(permission)));
        FileMode::OWNER_READ
    })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
