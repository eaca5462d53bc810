//! A SecretProviderClass: where to read, as whom, and what. It is parsed from its
//! own parameters, or from those merged with a pod's `volumeAttributes`.

use std::{sync::Arc, time::Duration};

use super::{
    address_type::AddressType,
    arn::{Arn, Region, RoleArn},
    attributes::Attributes,
    file::FileMode,
    message::quoted,
    mistakes::{Invalid, Kind, Mistake, Mistakes, Spot},
    objects::{Objects, ObjectsText},
    principal::AssumedRole,
    rules::Rules,
};

/// A checked SecretProviderClass.
#[derive(Debug)]
pub struct Class {
    /// Its name; empty when the driver did not send it.
    pub name: String,
    /// The primary Region; `None` when neither the class nor the operator names one.
    pub region: Option<Region>,
    pub failover_region: Option<Region>,
    pub identity: IdentityHints,
    /// `refreshInterval`: the maximum age of a served value.
    pub refresh_interval: Option<Duration>,
    pub objects: Arc<Objects>,
    /// What is odd but valid.
    pub warnings: Vec<Mistake>,
}

/// What a class says about the AWS identity of its pods.
#[derive(Clone, Debug, Default)]
pub struct IdentityHints {
    pub use_pod_identity: Option<bool>,
    pub address_type: AddressType,
    /// `roleArn`: the IRSA role.
    pub role_arn: Option<RoleArn>,
    /// `assumeRoleArn` with `assumeRoleExternalId`: the role that the pod's own role assumes.
    pub assumed_role: Option<AssumedRole>,
}

/// A class whose objects are not parsed yet.
pub struct OpenedClass {
    class: Class,
    text: ObjectsText,
    mistakes: Mistakes,
}

impl OpenedClass {
    /// Opens a class from the parameters of its manifest, without a pod.
    pub fn of_parameters(
        name: String,
        parameters: impl IntoIterator<Item = (String, String)>,
        default_mode: FileMode,
        rules: &Rules,
    ) -> Self {
        let attributes = Attributes::of_parameters(parameters);
        Self::open(name, attributes, default_mode, rules, Mistakes::within(&rules.limits))
    }

    /// Parses everything but the objects. `mistakes` are those found before.
    pub(super) fn open(
        name: String,
        mut attributes: Attributes,
        default_mode: FileMode,
        rules: &Rules,
        mut mistakes: Mistakes,
    ) -> Self {
        let region = attributes.region("region", &mut mistakes).or_else(|| rules.default_region.clone());
        let failover_region = attributes.region("failoverRegion", &mut mistakes);
        let translation = attributes.translation(&mut mistakes);
        let identity = IdentityHints {
            use_pod_identity: attributes.use_pod_identity(&mut mistakes),
            address_type: attributes.address_type(&mut mistakes),
            role_arn: attributes.role_arn(rules, &mut mistakes),
            assumed_role: attributes.assumed_role(rules, &mut mistakes),
        };
        if identity.use_pod_identity == Some(true) && identity.role_arn.is_some() {
            let warning = "roleArn is ignored, because usePodIdentity is \"true\"";
            mistakes.warn(Kind::Ignored, "roleArn", warning);
        }
        let refresh_interval = attributes.refresh_interval(
            rules.min_refresh_interval,
            rules.max_refresh_interval,
            &mut mistakes,
        );
        rules.check_region("region", region.as_ref(), &mut mistakes);
        rules.check_region("failoverRegion", failover_region.as_ref(), &mut mistakes);
        if let Some(region) = region.as_ref().filter(|region| failover_region.as_ref() == Some(region)) {
            mistakes.add_as(
                Kind::Contradicting,
                "failoverRegion",
                format!("{region} is also the primary Region; name another one"),
            );
        }
        if !attributes.names("objects") {
            let problem = "is missing: the list of what to mount (an empty list, [], mounts nothing)";
            mistakes.add_as(Kind::Missing, "objects", problem);
        }
        let text = ObjectsText {
            text: attributes.take("objects").unwrap_or_default(),
            region: region.clone(),
            failover_region: failover_region.clone(),
            translation,
            default_mode,
        };
        attributes.warn_of_the_rest(&mut mistakes);
        let class = Class {
            name,
            region,
            failover_region,
            identity,
            refresh_interval,
            objects: Arc::default(),
            warnings: Vec::new(),
        };
        Self { class, text, mistakes }
    }

    pub(super) fn name(&self) -> &str {
        &self.class.name
    }

    /// What the objects are made of.
    pub fn text(&self) -> &ObjectsText {
        &self.text
    }

    /// Parses the objects, unless they are `known`. `heading` opens the error.
    ///
    /// # Errors
    /// Every mistake of the class, each with its place.
    pub fn read(
        self,
        known: Option<Arc<Objects>>,
        rules: &Rules,
        heading: impl FnOnce() -> String,
    ) -> Result<Class, Invalid> {
        let Self { mut class, text, mut mistakes } = self;
        match known {
            Some(known) => class.objects = known,
            None => match text.read(&rules.limits) {
                Ok(objects) => class.objects = Arc::new(objects),
                Err(of_objects) => mistakes.append(of_objects),
            },
        }
        class.objects.warnings().iter().for_each(|warning| mistakes.warn_again(warning));
        class.warnings = mistakes.check(heading)?;
        Ok(class)
    }
}

impl Class {
    /// Repeats the checks that need the primary Region, when it became known only
    /// after parsing. `heading` opens the error.
    ///
    /// # Errors
    /// A Region that is not allowed, and every object of another Region.
    pub fn check_region(
        &self,
        region: &Region,
        rules: &Rules,
        heading: impl FnOnce() -> String,
    ) -> Result<(), Invalid> {
        let mut mistakes = Mistakes::within(&rules.limits);
        rules.check_region("the node's Region", Some(region), &mut mistakes);
        if self.failover_region.as_ref() == Some(region) {
            mistakes.add_as(
                Kind::Contradicting,
                "failoverRegion",
                format!("is the same as the node's Region {region}"),
            );
        }
        for object in self.objects.iter() {
            let arn = Arn::parse(&object.reference.id);
            if let Some(arn) = arn.filter(|arn| arn.region != region.as_str()) {
                let (id, of) = (quoted(&object.reference.id), quoted(arn.region));
                let problem = format!(
                    "the ARN is of Region {of}, but this class reads from the node's Region {region}"
                );
                let spot = Spot::from("objects").named(id.to_string());
                mistakes.add_as(Kind::OtherRegion, &spot, problem);
            }
        }
        mistakes.check(heading).map(drop)
    }
}
