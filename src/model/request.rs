//! The driver's Mount request as typed values, or every mistake that it has.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use zeroize::Zeroize;

use super::{
    arn::{Arn, Region, RoleArn},
    attributes::Attributes,
    file::FileMode,
    file_path::FilePath,
    message::quoted,
    mistakes::Mistakes,
    object::{Class, Object},
    principal::AssumedRole,
    region_patterns::RegionPatterns,
    role_patterns::RolePatterns,
    source,
    token::Tokens,
    yaml::{self, Content, Node},
};
pub use super::{
    attributes::{AddressType, RawRequest},
    mistakes::Limits,
};

/// Longest `objects`: about 500 bytes for each of 500 objects.
const MAX_OBJECTS_BYTES: usize = 256 << 10;
/// Most bytes of the expressions of one class. Each byte becomes at most one
/// node of a compiled expression, so this bounds what a parsed class holds.
const MAX_CLASS_EXPRESSION_BYTES: usize = 64 << 10;

/// What the operator of the provider decides about every request.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Bounds.
    pub limits: Limits,
    /// Whether a class may name its IRSA role itself (`roleArn`).
    pub allow_role_arn: bool,
    /// The roles that a class may name, as `roleArn` or `assumeRoleArn`; `None`
    /// leaves it to IAM.
    pub allowed_roles: Option<RolePatterns>,
    /// The Region of classes that name none, where it is known.
    pub default_region: Option<Region>,
    /// Regions that may be read from; `None` for every one.
    pub allowed_regions: Option<RegionPatterns>,
    /// Shortest `refreshInterval`.
    pub min_refresh_interval: Duration,
    /// Longest `refreshInterval`.
    pub max_refresh_interval: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            allow_role_arn: false,
            allowed_roles: None,
            default_region: None,
            allowed_regions: None,
            min_refresh_interval: Duration::from_secs(15),
            max_refresh_interval: Duration::from_secs(60 * 60),
        }
    }
}

impl Rules {
    fn check_region(&self, place: &str, region: Option<&Region>, mistakes: &mut Mistakes) {
        if let (Some(allowed), Some(region)) = (&self.allowed_regions, region)
            && !allowed.allow(region)
        {
            mistakes.add(place, format!("Region {region} is not allowed here (--allowed-regions={allowed})"));
        }
    }
}

/// The pod that mounts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The name of its service account.
    pub service_account: String,
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A checked Mount request.
#[derive(Debug)]
pub struct MountRequest {
    /// Who mounts.
    pub pod: Pod,
    /// The SecretProviderClass's name, where the driver tells it.
    pub class: String,
    /// The primary Region; `None` when neither class nor operator names one.
    pub region: Option<Region>,
    /// The failover Region.
    pub failover_region: Option<Region>,
    /// `usePodIdentity`.
    pub use_pod_identity: Option<bool>,
    /// `preferredAddressType`.
    pub address_type: AddressType,
    /// `roleArn`.
    pub role_arn: Option<RoleArn>,
    /// `assumeRoleArn`, with `assumeRoleExternalId`.
    pub assumed_role: Option<AssumedRole>,
    /// `refreshInterval`: how old a served value may be.
    pub refresh_interval: Option<Duration>,
    /// What to mount.
    pub objects: Arc<[Object]>,
    /// The pod's tokens.
    pub tokens: Tokens,
    /// The mount's folder.
    pub target_path: PathBuf,
    /// What is odd and not wrong.
    pub warnings: Vec<String>,
}

/// Every mistake of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRequest {
    /// The SecretProviderClass as `namespace/name`, where known.
    pub class: String,
    /// How many there are.
    pub count: usize,
    /// Place and problem of each, of the first ones only where there are many.
    pub mistakes: Vec<String>,
    /// What is odd beside them, and may be the reason: a misspelt key.
    pub warnings: Vec<String>,
}

impl std::error::Error for InvalidRequest {}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the mount request is invalid")?;
        if !self.class.is_empty() {
            write!(f, " (SecretProviderClass {} and the pod's volumeAttributes)", self.class)?;
        }
        match self.mistakes.as_slice() {
            [only] => write!(f, ": {only}")?,
            many => {
                write!(f, ", {} mistakes:", self.count)?;
                for (number, mistake) in many.iter().enumerate() {
                    let separator = if number == 0 { "" } else { ";" };
                    write!(f, "{separator} ({}) {mistake}", number + 1)?;
                }
                match self.count.saturating_sub(many.len()) {
                    0 => {}
                    more => write!(f, " and {more} more")?,
                }
            }
        }
        for warning in self.warnings.iter() {
            write!(f, "; also {warning}")?;
        }
        Ok(())
    }
}

impl MountRequest {
    /// Parses and checks the driver's request; the raw texts are zeroized.
    ///
    /// # Errors
    /// Every mistake of the request, with its place.
    pub fn parse(mut raw: RawRequest, rules: &Rules) -> Result<Self, InvalidRequest> {
        let mut mistakes = Mistakes::default();
        let mut attributes = Attributes::read(&raw, &mut mistakes);
        raw.attributes.zeroize();
        raw.secrets.zeroize();

        let pod = Pod {
            namespace: attributes.namespace(&mut mistakes),
            name: attributes.kubelet("pod.name", &mut mistakes),
            uid: attributes.kubelet("pod.uid", &mut mistakes),
            service_account: attributes.kubelet("serviceAccount.name", &mut mistakes),
        };
        let class = attributes.class(&mut mistakes);
        let region = attributes.region("region", &mut mistakes).or_else(|| rules.default_region.clone());
        let failover_region = attributes.region("failoverRegion", &mut mistakes);
        let translation = attributes.translation(&mut mistakes);
        let use_pod_identity = attributes.use_pod_identity(&mut mistakes);
        let address_type = attributes.address_type(&mut mistakes);
        let role_arn = attributes.role_arn(rules, &mut mistakes);
        let assumed_role = attributes.assumed_role(rules, &mut mistakes);
        if use_pod_identity == Some(true) && role_arn.is_some() {
            mistakes.warn("roleArn is ignored, because usePodIdentity is \"true\"".to_owned());
        }
        let refresh_interval = attributes.refresh_interval(
            rules.min_refresh_interval,
            rules.max_refresh_interval,
            &mut mistakes,
        );
        let default_mode = default_mode(&raw.permission, &mut mistakes);
        rules.check_region("region", region.as_ref(), &mut mistakes);
        rules.check_region("failoverRegion", failover_region.as_ref(), &mut mistakes);
        if region.is_some() && region == failover_region {
            mistakes.add("failoverRegion", "is the same as the primary Region");
        }
        if raw.target_path.is_empty() {
            mistakes.add("target_path", "is missing");
        }
        let objects = attributes.take("objects").unwrap_or_default();
        let context = Class {
            region: region.as_ref(),
            failover_region: failover_region.as_ref(),
            translation,
            default_mode,
            limits: &rules.limits,
        };
        let objects = parse_objects(&objects, &context, &mut mistakes);
        check_collisions(&objects, &mut mistakes);
        source::check_versions(&objects, &mut mistakes);
        attributes.warn_of_the_rest(&mut mistakes);

        if mistakes.any() {
            let class = if class.is_empty() { class } else { format!("{}/{class}", pod.namespace) };
            return Err(InvalidRequest {
                class,
                count: mistakes.found.count,
                mistakes: mistakes.found.texts,
                warnings: mistakes.warnings.into_texts(),
            });
        }
        Ok(Self {
            pod,
            class,
            region,
            failover_region,
            use_pod_identity,
            address_type,
            role_arn,
            assumed_role,
            refresh_interval,
            objects: objects.into(),
            tokens: attributes.tokens,
            target_path: PathBuf::from(raw.target_path),
            warnings: mistakes.warnings.into_texts(),
        })
    }

    /// The memory that it takes, about.
    pub fn bytes(&self) -> usize {
        let objects = self.objects.iter().map(Object::bytes).sum::<usize>();
        size_of::<Self>() + self.target_path.as_os_str().len() + objects
    }

    /// Repeats the checks that need the primary Region, for a Region that was
    /// learnt after parsing.
    ///
    /// # Errors
    /// A Region that may not be read from; every object that is of another Region.
    pub fn check_region(&self, region: &Region, rules: &Rules) -> Result<(), InvalidRequest> {
        let mut mistakes = Mistakes::default();
        rules.check_region("the node's Region", Some(region), &mut mistakes);
        if self.failover_region.as_ref() == Some(region) {
            mistakes.add("failoverRegion", format!("is the same as the node's Region {region}"));
        }
        for object in self.objects.iter() {
            let arn = Arn::parse(&object.reference.id);
            if let Some(arn) = arn.filter(|arn| arn.region != region.as_str()) {
                let (id, of) = (quoted(&object.reference.id), quoted(arn.region));
                let problem = format!("the ARN is of Region {of}, but the node's Region {region} is asked");
                mistakes.add(&id.to_string(), problem);
            }
        }
        if !mistakes.any() {
            return Ok(());
        }
        Err(InvalidRequest {
            class: format!("{}/{}", self.pod.namespace, self.class),
            count: mistakes.found.count,
            mistakes: mistakes.found.texts,
            warnings: Vec::new(),
        })
    }
}

fn default_mode(permission: &str, mistakes: &mut Mistakes) -> FileMode {
    let bits = serde_json::from_str::<u32>(permission).ok();
    bits.and_then(FileMode::new).unwrap_or_else(|| {
        mistakes
            .add("permission", format!("{} is not a file mode of at most 511 (0777)", quoted(permission)));
        FileMode::OWNER_READ
    })
}

fn parse_objects(text: &str, class: &Class<'_>, mistakes: &mut Mistakes) -> Vec<Object> {
    if text.len() > MAX_OBJECTS_BYTES {
        mistakes.add("objects", format!("has {} bytes; the maximum is {MAX_OBJECTS_BYTES}", text.len()));
        return Vec::new();
    }
    let node = match yaml::read(text) {
        Ok(None) => return Vec::new(),
        Ok(Some(node)) => node,
        Err(error) => {
            mistakes.add("objects", format!("is not YAML: {error}"));
            return Vec::new();
        }
    };
    match &node.content {
        Content::Null => Vec::new(),
        Content::List(entries) => {
            // Counted first: what is too much is not even looked at.
            if !counts_fit(entries, class.limits, mistakes) {
                return Vec::new();
            }
            let parse = |(index, entry)| Object::parse(entry, index, class, mistakes);
            entries.iter().enumerate().filter_map(parse).collect()
        }
        Content::Scalar { .. } | Content::Map(_) => {
            mistakes.add("objects", "must be a list (each entry starts with \"- objectName:\")");
            Vec::new()
        }
    }
}

/// Whether what the entries ask for in all, files and bytes of expressions, is no
/// more than a class may have.
fn counts_fit(entries: &[Node], limits: &Limits, mistakes: &mut Mistakes) -> bool {
    let (mut files, mut expression_bytes) = (0, 0);
    for entry in entries {
        files += 1;
        let fields = entry.values_of("jmesPath").filter_map(|node| match &node.content {
            Content::List(fields) => Some(fields),
            Content::Null | Content::Scalar { .. } | Content::Map(_) => None,
        });
        for field in fields.flatten() {
            files += 1;
            let texts = field.values_of("path").chain(field.values_of("key"));
            expression_bytes += texts.map(Node::text_bytes).sum::<usize>();
        }
    }
    let max_files = limits.max_objects;
    if files > max_files {
        mistakes.add(
            "objects",
            format!("asks for {files} files; the maximum is {max_files} (--max-objects), jmesPath entries included"),
        );
    }
    if expression_bytes > MAX_CLASS_EXPRESSION_BYTES {
        mistakes.add(
            "objects",
            format!(
                "has {expression_bytes} bytes of jmesPath expressions; the maximum for one class is {MAX_CLASS_EXPRESSION_BYTES}"
            ),
        );
    }
    files <= max_files && expression_bytes <= MAX_CLASS_EXPRESSION_BYTES
}

/// Two objects must not share a file, nor one's file be another's folder.
fn check_collisions(objects: &[Object], mistakes: &mut Mistakes) {
    let mut paths: Vec<(&FilePath, String)> = objects.iter().flat_map(Object::paths).collect();
    // In this order a path stands right before the paths below it, so that
    // neighbours tell everything, however long and deep the paths are.
    paths.sort_by(|(one, _), (other, _)| one.as_str().split('/').cmp(other.as_str().split('/')));
    for pair in paths.windows(2) {
        let [(path, owner), (next, next_owner)] = pair else { continue };
        let (path, next) = (path.as_str(), next.as_str());
        if path == next {
            mistakes.add(
                "objects",
                format!(
                    "{owner} and {next_owner} both mount the file {}; give one an objectAlias",
                    quoted(path)
                ),
            );
        } else if next.strip_prefix(path).is_some_and(|below| below.starts_with('/')) {
            mistakes.add(
                "objects",
                format!("{owner} mounts the file {}, which {next_owner} needs as a folder", quoted(path)),
            );
        }
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
