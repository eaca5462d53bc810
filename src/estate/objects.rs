//! Reads an estate from manifests, and from the objects of a live cluster.

use super::{
    Association, ClassObject, ClassVolume, DRIVER, Estate, Pod, ROLE_ANNOTATION, ServiceAccount,
    ServiceAccountObject, VolumeMount, Workload,
    kubernetes::{Container, PodSpec, Templated},
};
use crate::{
    findings::{FilePlace, ObjectName, Place},
    manifests::{Found, Object, SecretProviderClass, text_at},
};

/// The attribute of a volume that names its class.
const CLASS_ATTRIBUTE: &str = "secretProviderClass";

impl Estate {
    /// Everything of interest in manifests. Objects without a namespace belong to
    /// `namespace`.
    pub fn of_manifests(found: &Found, namespace: &str) -> Self {
        let mut estate = Self::default();
        for mut class in found.classes() {
            let object = Object { file: class.file.clone(), root: class.root.clone() };
            let place = place(&object, namespace);
            class.namespace = object.namespace().unwrap_or_else(|| namespace.to_owned());
            estate.add_class(place, class);
        }
        for object in &found.objects {
            estate.add_object(object, namespace);
        }
        estate
    }

    /// Adds a class, unless another provider mounts it.
    pub fn add_class(&mut self, place: Place, manifest: SecretProviderClass) {
        if manifest.is_ours() {
            let (namespace, name) = (manifest.namespace.clone(), manifest.name.clone());
            self.classes.push(ClassObject { place, namespace, name, manifest });
        }
    }

    pub fn add_account(&mut self, place: Place, object: ServiceAccountObject, namespace: &str) {
        let metadata = object.metadata;
        self.accounts.push(ServiceAccount {
            place,
            namespace: metadata.namespace.unwrap_or_else(|| namespace.to_owned()),
            name: metadata.name,
            role_arn: metadata.annotations.and_then(|mut annotations| annotations.remove(ROLE_ANNOTATION)),
        });
    }

    /// Adds a pod, if it has a volume of the driver.
    pub fn add_pod(&mut self, place: Place, pod: &Pod, namespace: &str) {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or(namespace);
        let workload = Workload {
            replicas: Some(1),
            ..workload(place, "Pod", namespace, &pod.metadata.name, &pod.spec)
        };
        self.add_workload(workload);
    }

    fn add_workload(&mut self, workload: Workload) {
        if !workload.volumes.is_empty() {
            self.workloads.push(workload);
        }
    }

    fn add_object(&mut self, object: &Object, namespace: &str) {
        let kind = object.kind();
        let place = place(object, namespace);
        match kind.as_str() {
            "ServiceAccount" => match object.read::<ServiceAccountObject>() {
                Some(account) => self.add_account(place, account, namespace),
                None => self.malformed.push(place),
            },
            "Pod" => match object.read::<Pod>() {
                Some(pod) => self.add_pod(place, &pod, namespace),
                None => self.malformed.push(place),
            },
            "PodIdentityAssociation" => self.associations.extend(association(object, place)),
            _ if has_template(object) => match object.read::<Templated>() {
                Some(templated) => self.add_templated(object, place, templated, &kind, namespace),
                None => self.malformed.push(place),
            },
            // What `aws eks describe-pod-identity-association` prints.
            "" => self.associations.extend(association(object, place)),
            _ => {}
        }
    }

    fn add_templated(
        &mut self,
        object: &Object,
        place: Place,
        templated: Templated,
        kind: &str,
        namespace: &str,
    ) {
        let spec = templated.spec;
        let (replicas, template) = match (spec.template, spec.job_template) {
            (Some(template), _) => (spec.replicas.or(spec.parallelism), template),
            (None, Some(job)) => (job.spec.parallelism, job.spec.template),
            (None, None) => return,
        };
        let namespace = object.namespace().unwrap_or_else(|| namespace.to_owned());
        let replicas = if kind == "DaemonSet" { None } else { replicas.or(Some(1)) };
        let workload = workload(place, kind, &namespace, &object.name(), &template.spec);
        self.add_workload(Workload { replicas, ..workload });
    }
}

impl Pod {
    /// Its volumes of the driver.
    pub fn class_volumes(&self) -> Vec<ClassVolume> {
        volumes(&self.spec)
    }
}

fn place(object: &Object, namespace: &str) -> Place {
    let namespace = object.namespace().unwrap_or_else(|| namespace.to_owned());
    let file = FilePlace { file: object.file.clone(), line: object.root.line, column: object.root.column };
    Place::in_file(file, ObjectName::new(&object.kind(), &namespace, &object.name()))
}

fn has_template(object: &Object) -> bool {
    let has = |path: &[&str]| crate::manifests::at(&object.root, path).is_some();
    has(&["spec", "template", "spec"]) || has(&["spec", "jobTemplate", "spec", "template", "spec"])
}

fn workload(place: Place, kind: &str, namespace: &str, name: &str, spec: &PodSpec) -> Workload {
    let account = spec.service_account_name.clone().filter(|name| !name.is_empty());
    Workload {
        place,
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        replicas: None,
        node: spec.node_name.clone(),
        service_account: account.unwrap_or_else(|| "default".to_owned()),
        volumes: volumes(spec),
    }
}

fn volumes(spec: &PodSpec) -> Vec<ClassVolume> {
    let containers: Vec<&Container> = spec.init_containers.iter().flatten().chain(&spec.containers).collect();
    let of_driver = spec.volumes.iter().flatten().filter_map(|volume| {
        let csi = volume.csi.as_ref().filter(|csi| csi.driver == DRIVER)?;
        let mut attributes = csi.volume_attributes.clone().unwrap_or_default();
        let class = attributes.remove(CLASS_ATTRIBUTE).unwrap_or_default();
        Some(ClassVolume {
            volume: volume.name.clone(),
            class,
            attributes,
            read_only: csi.read_only.unwrap_or(false),
            mounts: containers.iter().flat_map(|container| mounts(spec, container, &volume.name)).collect(),
        })
    });
    of_driver.collect()
}

fn mounts(spec: &PodSpec, container: &Container, volume: &str) -> Vec<VolumeMount> {
    let (pod, own) =
        (spec.security_context.unwrap_or_default(), container.security_context.unwrap_or_default());
    let mounts = container.volume_mounts.iter().flatten().filter(|mount| mount.name == volume);
    let mounts = mounts.map(|mount| VolumeMount {
        container: container.name.clone(),
        path: mount.mount_path.clone(),
        sub_path: mount.sub_path.clone().or(mount.sub_path_expr.clone()).filter(|path| !path.is_empty()),
        user: own.run_as_user.or(pod.run_as_user),
        non_root: own.run_as_non_root.or(pod.run_as_non_root).unwrap_or(false),
    });
    mounts.collect()
}

/// An association as AWS Controllers for Kubernetes (`spec`), Crossplane
/// (`spec.forProvider`), and AWS's command line (`association`) write it.
fn association(object: &Object, place: Place) -> Option<Association> {
    let forms: [&[&str]; 3] = [&["spec"], &["spec", "forProvider"], &["association"]];
    forms.into_iter().find_map(|form| {
        let text = |names: &[&str]| {
            names.iter().find_map(|name| {
                let path: Vec<&str> = form.iter().copied().chain([*name]).collect();
                text_at(&object.root, &path).filter(|text| !text.is_empty())
            })
        };
        Some(Association {
            place: place.clone(),
            namespace: text(&["namespace"])?,
            service_account: text(&["serviceAccount"])?,
            role_arn: text(&["roleARN", "roleArn"])?,
            target_role_arn: text(&["targetRoleARN", "targetRoleArn"]),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFESTS: &str = r#"
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ServiceAccount
  metadata:
    name: web
    namespace: shop
    annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/web"}
- apiVersion: secrets-store.csi.x-k8s.io/v1
  kind: SecretProviderClass
  metadata: {name: db}
  spec: {provider: aws, parameters: {objects: "- objectName: a\n  objectType: secretsmanager\n"}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop}
spec:
  jobTemplate:
    spec:
      parallelism: 3
      template:
        spec:
          serviceAccountName: web
          securityContext: {runAsUser: 1000}
          containers:
          - name: main
            volumeMounts:
            - {name: secrets, mountPath: /mnt, subPath: password}
          volumes:
          - {name: other, emptyDir: {}}
          - name: secrets
            csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: db}}
---
apiVersion: eks.services.k8s.aws/v1alpha1
kind: PodIdentityAssociation
metadata: {name: x}
spec: {namespace: shop, serviceAccount: web, roleARN: "arn:aws:iam::111122223333:role/pod"}
---
apiVersion: v1
kind: Pod
metadata: {name: broken}
spec: {containers: nothing}
"#;

    #[test]
    fn manifests_become_an_estate() {
        let mut found = Found::default();
        found.read("a.yaml", MANIFESTS);
        let estate = Estate::of_manifests(&found, "shop");
        let class = estate.class("shop", "db").unwrap();
        assert_eq!(class.place.file.as_ref().unwrap().to_string(), "a.yaml:11:3");
        let (workload, volume) = estate.users(class).next().unwrap();
        assert_eq!((workload.kind.as_str(), workload.replicas), ("CronJob", Some(3)));
        assert_eq!(workload.service_account, "web");
        assert!(volume.read_only);
        let mount = &volume.mounts[0];
        assert_eq!((mount.sub_path.as_deref(), mount.user), (Some("password"), Some(1000)));
        let role = estate.account("shop", "web").unwrap().role_arn.as_deref();
        assert_eq!(role, Some("arn:aws:iam::111122223333:role/web"));
        let role = &estate.association("shop", "web").unwrap().role_arn;
        assert_eq!(role, "arn:aws:iam::111122223333:role/pod");
        assert_eq!(estate.malformed.len(), 1);
        assert_eq!(estate.malformed[0].to_string(), "a.yaml:41:1 (Pod shop/broken)");
    }
}
