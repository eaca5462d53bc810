//! Lists in pages, so that neither the API server nor this process holds one whole.

use serde::{Deserialize, de::DeserializeOwned};

use super::{Live, LiveError, Progress, Query, failure::Call, resource::encoded};

/// Objects of one page.
const PAGE: usize = 500;
/// Maximum number of objects that a list keeps.
const MAX_KEPT: usize = 200_000;
/// How often a list starts again because the API server has forgotten where it was.
const RESTARTS: usize = 2;

/// A list, and the place in the cluster's history at which it was true.
#[derive(Debug)]
pub struct Listed<T> {
    pub items: Vec<T>,
    pub(super) version: String,
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Vec<T>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
    resource_version: Option<String>,
}

impl Live {
    /// All objects. A slim `T` keeps a large list small: fields that it does not name
    /// are never kept.
    ///
    /// # Errors
    /// If the list cannot be read.
    pub async fn list<T: DeserializeOwned>(
        &self,
        query: Query<'_>,
        progress: &Progress,
    ) -> Result<Vec<T>, LiveError> {
        Ok(self.list_kept(query, progress, Some).await?.items)
    }

    /// What `keep` makes of the objects; the others are dropped with their page.
    ///
    /// # Errors
    /// If the list cannot be read.
    pub async fn list_kept<T: DeserializeOwned, U>(
        &self,
        query: Query<'_>,
        progress: &Progress,
        mut keep: impl FnMut(T) -> Option<U>,
    ) -> Result<Listed<U>, LiveError> {
        let mut restarts = 0;
        loop {
            match self.pages(query, progress, &mut keep).await {
                Err(LiveError::Expired { .. }) if restarts < RESTARTS => restarts += 1,
                result => return result,
            }
        }
    }

    async fn pages<T: DeserializeOwned, U>(
        &self,
        query: Query<'_>,
        progress: &Progress,
        keep: &mut impl FnMut(T) -> Option<U>,
    ) -> Result<Listed<U>, LiveError> {
        let call = Call::new(self, "list", query.to_string());
        let base = query.path();
        let selector = query.selectors();
        let mut listed = Listed { items: Vec::new(), version: String::new() };
        let mut next = String::new();
        let mut read = 0;
        loop {
            let place = if next.is_empty() { String::new() } else { format!("&continue={}", encoded(&next)) };
            let page: Page<T> = self.read(&call, &format!("{base}?limit={PAGE}{selector}{place}")).await?;
            read += page.items.len();
            progress.show(query.resource.plural, read);
            listed.items.extend(page.items.into_iter().filter_map(&mut *keep));
            if listed.items.len() > MAX_KEPT {
                return Err(LiveError::TooMany { action: call.action(), most: MAX_KEPT });
            }
            listed.version = page.metadata.resource_version.unwrap_or_default();
            next = page.metadata.next.unwrap_or_default();
            if next.is_empty() {
                return Ok(listed);
            }
        }
    }
}
