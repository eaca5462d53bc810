//! Yes, no, or: it depends.

use std::collections::BTreeSet;

/// The result of a comparison when some values are unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    No,
    /// On these condition keys.
    Depends(BTreeSet<String>),
    Yes,
}

impl Truth {
    pub(super) fn depends_on(key: &str) -> Self {
        Self::Depends(BTreeSet::from([key.to_owned()]))
    }

    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, other) | (other, Self::Yes) => other,
            (Self::Depends(mut keys), Self::Depends(others)) => {
                keys.extend(others);
                Self::Depends(keys)
            }
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        self.negated().and(other.negated()).negated()
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Yes => Self::No,
            Self::Depends(keys) => Self::Depends(keys),
        }
    }

    /// Whether all hold; yes for none.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self::Yes;
        for part in parts {
            whole = whole.and(part);
            if whole == Self::No {
                break;
            }
        }
        whole
    }

    /// Whether one holds; no for none.
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::all(parts.into_iter().map(Self::negated)).negated()
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}
