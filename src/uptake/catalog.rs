//! Which object a file of a class belongs to, and what a person means by a name.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{ClassItem, Fleet, Holding, Object, RunningPod};
use crate::model::{
    arn::Arn,
    class::{Class, OpenedClass},
    file::FileMode,
    reference::Selector,
    rules::Rules,
    spelling::distance,
};

/// Names that a message lists.
const LISTED: usize = 10;

/// The objects of a class, by what the driver's status calls them.
type Files = BTreeMap<Box<str>, Arc<Object>>;

/// The objects of all classes.
#[derive(Debug, Default)]
pub struct Catalog {
    /// By namespace and name.
    classes: BTreeMap<Box<str>, BTreeMap<Box<str>, Files>>,
    /// Classes that no mount would accept.
    pub unreadable: Vec<String>,
}

/// No object, file or class has this name.
#[derive(Debug)]
pub struct NotFound {
    wanted: String,
    near: Option<String>,
    some: Vec<String>,
    more: bool,
}

impl Catalog {
    /// Adds a class of this provider; others are skipped.
    pub fn add(&mut self, item: ClassItem) {
        if !matches!(item.spec.provider.as_str(), "aws" | "latchkey") {
            return;
        }
        let (namespace, name) = (item.metadata.namespace, item.metadata.name);
        let rules = Rules { allow_role_arn: true, ..Rules::default() };
        let opened =
            OpenedClass::of_parameters(name.clone(), item.spec.parameters, FileMode::OWNER_READ, &rules);
        let Ok(class) = opened.read(None, &rules, String::new) else {
            self.unreadable.push(format!("{namespace}/{name}"));
            return;
        };
        let files = files(&class);
        self.classes.entry(namespace.into()).or_default().insert(name.into(), files);
    }

    /// The object that the driver's status calls `id`.
    pub fn object(&self, namespace: &str, class: &str, id: &str) -> Arc<Object> {
        let known = self.classes.get(namespace).and_then(|classes| classes.get(class)?.get(id));
        known.cloned().unwrap_or_else(|| {
            Arc::new(Object {
                service: None,
                id: format!("{namespace}/{class}: {id}"),
                region: None,
                selector: Selector::default(),
            })
        })
    }

    /// The objects of a class.
    pub fn objects_of(&self, namespace: &str, class: &str) -> Vec<Arc<Object>> {
        let files = self.classes.get(namespace).and_then(|classes| classes.get(class));
        let mut objects: Vec<Arc<Object>> =
            files.into_iter().flat_map(|files| files.values().map(Arc::clone)).collect();
        objects.sort();
        objects.dedup();
        objects
    }

    /// Whether a person means this file of a class by `wanted`: the name of the object,
    /// the file, or the class.
    pub fn is_meant(wanted: &str, object: &Object, namespace: &str, class: &str, id: &str) -> bool {
        object.is_called(wanted)
            || wanted == id
            || wanted == class
            || wanted.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('/')) == Some(class)
    }

    /// The objects that a person means, also of classes that no pod mounts.
    pub fn named(&self, wanted: &str) -> Vec<Arc<Object>> {
        let meant = self
            .all()
            .filter(|(namespace, class, id, object)| Self::is_meant(wanted, object, namespace, class, id));
        let mut objects: Vec<Arc<Object>> = meant.map(|(.., object)| Arc::clone(object)).collect();
        objects.sort();
        objects.dedup();
        objects
    }

    /// Whether the name means anything. Without a name, everything is meant.
    pub fn named_or_held(&self, wanted: Option<&str>, fleet: &Fleet) -> bool {
        let Some(wanted) = wanted else { return true };
        let means = |(_, holding): (&RunningPod, &Holding)| {
            let (namespace, class) = (&holding.namespace, &holding.class);
            let is_meant = |id: &str| {
                let object = self.object(namespace, class, id);
                Self::is_meant(wanted, &object, namespace, class, id)
            };
            holding.files.iter().any(|file| is_meant(&file.id))
        };
        !self.named(wanted).is_empty() || fleet.held().any(means)
    }

    /// The error for a name that means nothing.
    pub fn not_found(&self, wanted: &str) -> NotFound {
        let mut names: Vec<String> = self.all().map(|(.., object)| object.name().to_owned()).collect();
        names.sort();
        names.dedup();
        let near = names.iter().map(|name| (distance(wanted, name), name)).min();
        let near = near.filter(|(distance, name)| *distance <= name.len() / 3).map(|(_, name)| name.clone());
        let more = names.len() > LISTED;
        names.truncate(LISTED);
        NotFound { wanted: wanted.to_owned(), near, some: names, more }
    }

    fn all(&self) -> impl Iterator<Item = (&str, &str, &str, &Arc<Object>)> {
        self.classes.iter().flat_map(|(namespace, classes)| {
            classes.iter().flat_map(move |(class, files)| {
                files.iter().map(move |(id, object)| (&**namespace, &**class, &**id, object))
            })
        })
    }
}

/// The objects by their files, and by their names, which other providers write.
fn files(class: &Class) -> Files {
    let mut files = Files::new();
    for object in class.objects.iter() {
        let reference = &object.reference;
        let own = class.region.as_ref().map(|region| region.as_str().to_owned());
        let known = Arc::new(Object {
            service: Some(reference.service),
            id: reference.id.clone(),
            region: Arn::parse(&reference.id).map(|arn| arn.region.to_owned()).or(own),
            selector: reference.selector.clone(),
        });
        for path in object.file_paths() {
            files.insert(path.as_str().into(), Arc::clone(&known));
        }
        files.entry(reference.id.as_str().into()).or_insert(known);
    }
    files
}

impl std::error::Error for NotFound {}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, near, some, more } = self;
        write!(f, "no class mounts an object, and no file or class is called {wanted:?}")?;
        match near {
            Some(near) => write!(f, "; did you mean {near}?")?,
            None if some.is_empty() => write!(f, ": there are no SecretProviderClasses of this provider")?,
            None => {
                write!(f, "; there are: {}", some.join(", "))?;
                if *more {
                    f.write_str(", …")?;
                }
            }
        }
        f.write_str(". Choose other namespaces with --namespace or --all-namespaces")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let class = r#"{
            "metadata": {"name": "db", "namespace": "shop"},
            "spec": {"provider": "aws", "parameters": {"region": "eu-west-1", "objects":
                "- objectName: shop/database\n  objectType: secretsmanager\n  objectAlias: password\n  jmesPath: [{path: user, objectAlias: user}]\n- objectName: /shop/url\n  objectType: ssmparameter\n"}}
        }"#;
        let mut catalog = Catalog::default();
        catalog.add(serde_json::from_str(class).unwrap());
        catalog.add(serde_json::from_str(&class.replace("aws", "vault")).unwrap());
        catalog.add(
            serde_json::from_str(&class.replace("\"db\"", "\"bad\"").replace("objectName", "x")).unwrap(),
        );
        catalog
    }

    #[test]
    fn a_file_leads_to_its_object() {
        let catalog = catalog();
        let object = catalog.object("shop", "db", "user");
        assert_eq!(object.to_string(), "shop/database (eu-west-1)");
        assert_eq!(catalog.object("shop", "db", "password"), object);
        assert_eq!(catalog.object("shop", "other", "x").to_string(), "shop/other: x");
        assert_eq!(catalog.unreadable, ["shop/bad"]);
    }

    #[test]
    fn a_name_means_an_object_a_file_or_a_class() {
        let catalog = catalog();
        for (wanted, count) in
            [("shop/database", 1), ("user", 1), ("db", 2), ("shop/db", 2), ("/shop/url", 1), ("x", 0)]
        {
            assert_eq!(catalog.named(wanted).len(), count, "{wanted}");
        }
        let error = catalog.not_found("shop/databse").to_string();
        assert!(error.contains("did you mean shop/database?"), "{error}");
    }
}
