//! The driver's Mount request as typed values, or every mistake that it has.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use zeroize::Zeroize;

use super::{
    arn::{Arn, Region, RoleArn},
    attributes::Attributes,
    file::FileMode,
    message::quoted,
    mistakes::Mistakes,
    objects::{Objects, ObjectsText},
    principal::AssumedRole,
    region_patterns::RegionPatterns,
    role_patterns::RolePatterns,
    token::Tokens,
};
pub use super::{
    attributes::{AddressType, RawRequest},
    mistakes::Limits,
};

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
    pub objects: Arc<Objects>,
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

/// A request whose objects are not read yet.
pub struct Opened {
    request: MountRequest,
    text: ObjectsText,
    mistakes: Mistakes,
}

impl Opened {
    /// Reads everything but the objects; the raw texts are zeroized.
    pub fn open(mut raw: RawRequest, rules: &Rules) -> Self {
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
        if let Some(region) = region.as_ref().filter(|region| failover_region.as_ref() == Some(region)) {
            mistakes.add("failoverRegion", format!("{region} is the primary Region, too; name another one"));
        }
        if raw.target_path.is_empty() {
            mistakes.add("target_path", "is missing");
        }
        if !attributes.names("objects") {
            mistakes
                .add("objects", "is missing: the list of what to mount (an empty one, [], mounts nothing)");
        }
        let text = ObjectsText {
            text: attributes.take("objects").unwrap_or_default(),
            region: region.clone(),
            failover_region: failover_region.clone(),
            translation,
            default_mode,
        };
        attributes.warn_of_the_rest(&mut mistakes);
        let request = MountRequest {
            pod,
            class,
            region,
            failover_region,
            use_pod_identity,
            address_type,
            role_arn,
            assumed_role,
            refresh_interval,
            objects: Arc::default(),
            tokens: attributes.tokens,
            target_path: PathBuf::from(raw.target_path),
            warnings: Vec::new(),
        };
        Self { request, text, mistakes }
    }

    /// The pod's namespace; empty when the request does not name it.
    pub fn namespace(&self) -> &str {
        &self.request.pod.namespace
    }

    /// What the objects are made of.
    pub fn text(&self) -> &ObjectsText {
        &self.text
    }

    /// Reads the objects, if they are not `known`.
    ///
    /// # Errors
    /// Every mistake of the request, with its place.
    pub fn read(self, known: Option<Arc<Objects>>, rules: &Rules) -> Result<MountRequest, InvalidRequest> {
        let Self { mut request, text, mut mistakes } = self;
        match known {
            Some(known) => request.objects = known,
            None => match text.read(&rules.limits) {
                Ok(objects) => request.objects = Arc::new(objects),
                Err(of_objects) => mistakes.append(of_objects),
            },
        }
        request.objects.warnings().iter().for_each(|warning| mistakes.warn(warning));
        if mistakes.any() {
            let MountRequest { pod, class, .. } = request;
            let known = !class.is_empty() && !pod.namespace.is_empty();
            let class = if known { format!("{}/{class}", pod.namespace) } else { class };
            return Err(InvalidRequest {
                class,
                count: mistakes.found.count,
                mistakes: mistakes.found.texts,
                warnings: mistakes.warnings.into_texts(),
            });
        }
        Ok(MountRequest { warnings: mistakes.warnings.into_texts(), ..request })
    }
}

impl MountRequest {
    /// Parses and checks the driver's request; the raw texts are zeroized.
    ///
    /// # Errors
    /// Every mistake of the request, with its place.
    pub fn parse(raw: RawRequest, rules: &Rules) -> Result<Self, InvalidRequest> {
        Opened::open(raw, rules).read(None, rules)
    }

    /// The memory that it takes, about.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.target_path.as_os_str().len() + self.objects.bytes()
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

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
