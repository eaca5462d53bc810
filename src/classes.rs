//! SecretProviderClasses that were parsed before. All pods of a Deployment name the same
//! class, at every republish; it is parsed once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    model::objects::{Objects, ObjectsDigest},
    shares::{Share, Shares},
};

/// Memory of an entry in addition to its objects.
const ENTRY_BYTES: usize = 256;

/// The objects of classes, by the digest of what they were made of.
pub struct Classes {
    memory: Arc<Shares>,
    known: Mutex<HashMap<String, HashMap<ObjectsDigest, Known>>>,
}

struct Known {
    objects: Arc<Objects>,
    used_at: Instant,
    _memory: Share,
}

impl Classes {
    /// Knows no class yet, and holds `memory` bytes of them at most.
    pub fn new(memory: usize) -> Self {
        Self { memory: Shares::new(memory), known: Mutex::default() }
    }

    /// The memory that namespaces share.
    pub(crate) fn memory(&self) -> &Arc<Shares> {
        &self.memory
    }

    /// The objects, if the namespace has mounted them before.
    pub fn get(&self, namespace: &str, digest: ObjectsDigest) -> Option<Arc<Objects>> {
        let mut known = self.known();
        let known = known.get_mut(namespace)?.get_mut(&digest)?;
        known.used_at = Instant::now();
        Some(Arc::clone(&known.objects))
    }

    /// Keeps the objects. If the namespace has no room for them, its other classes are
    /// forgotten first.
    pub fn keep(&self, namespace: &str, digest: ObjectsDigest, objects: &Arc<Objects>) {
        let bytes = ENTRY_BYTES + namespace.len() + objects.bytes();
        let share = self.memory.try_take(namespace, bytes).or_else(|_| {
            self.known().remove(namespace);
            self.memory.try_take(namespace, bytes)
        });
        let Ok(memory) = share else { return };
        let known = Known { objects: Arc::clone(objects), used_at: Instant::now(), _memory: memory };
        self.known().entry(namespace.to_owned()).or_default().insert(digest, known);
    }

    /// Forgets classes that nobody has mounted for so long.
    pub fn drop_idle(&self, idle_after: Duration) {
        self.known().retain(|_, classes| {
            classes.retain(|_, known| known.used_at.elapsed() <= idle_after);
            !classes.is_empty()
        });
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, HashMap<ObjectsDigest, Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::objects::ObjectsText;

    fn class(name: &str) -> (ObjectsDigest, Arc<Objects>) {
        let text = ObjectsText::example(&format!("- {{objectName: {name}, objectType: secretsmanager}}"));
        (text.digest(), text.objects())
    }

    #[test]
    fn a_class_is_known_only_to_the_namespace_that_mounted_it() {
        let (classes, (digest, objects)) = (Classes::new(1 << 20), class("a"));
        assert!(classes.get("shop", digest).is_none());
        classes.keep("shop", digest, &objects);
        assert!(Arc::ptr_eq(&classes.get("shop", digest).unwrap(), &objects));
        assert!(classes.get("shop", class("b").0).is_none());
        assert!(classes.get("other", digest).is_none());
    }

    #[test]
    fn a_full_namespace_loses_only_its_own_classes() {
        let (first, victim) = (class("00"), class("v"));
        let classes = Classes::new(4 * (ENTRY_BYTES + 4 + first.1.bytes()));
        classes.keep("shop", victim.0, &victim.1);
        classes.keep("evil", first.0, &first.1);
        for number in 1..20 {
            let next = class(&format!("{number:02}"));
            classes.keep("evil", next.0, &next.1);
            assert!(classes.get("evil", next.0).is_some(), "{number}");
        }
        assert!(classes.get("evil", first.0).is_none());
        assert!(classes.get("shop", victim.0).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_class_is_forgotten() {
        let (classes, (digest, objects)) = (Classes::new(1 << 20), class("a"));
        classes.keep("shop", digest, &objects);
        let idle_after = Duration::from_secs(600);
        tokio::time::advance(idle_after).await;
        classes.drop_idle(idle_after);
        assert!(classes.get("shop", digest).is_some());
        tokio::time::advance(idle_after + Duration::from_secs(1)).await;
        classes.drop_idle(idle_after);
        assert!(classes.get("shop", digest).is_none());
        assert!(classes.known().is_empty());
    }
}
