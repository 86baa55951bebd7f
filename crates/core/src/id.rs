//! Names and numbers by which models, runs, versions and deployments are known.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A predictor under management, `name` or `project/name`; letters, digits, `-`, `_`, `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(String);

/// One retraining of one model, counted from 1. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u64);

/// One trained artifact of one model, counted from 1. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionId(pub u64);

/// Orders deployments: the serving side refuses a fence lower than the last it took.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// Hash of a dataset's manifest: 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DatasetId(pub String);

/// Hash of a checked policy; every decision cites the one it obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyHash(pub u64);

impl ModelName {
    /// Longest name in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Checks `text`; the error says what a name may look like.
    pub fn new(text: impl Into<String>) -> Result<ModelName, InvalidName> {
        let text = text.into();
        let part_is_good = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let parts = text.split('/').collect::<Vec<_>>();
        if text.len() <= Self::MAX_BYTES
            && parts.len() <= 2
            && parts.iter().all(|part| part_is_good(part))
        {
            return Ok(ModelName(text));
        }
        Err(InvalidName(text))
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that cannot name a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName(pub String);

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` cannot name a model: write `name` or `project/name` with letters, digits, `-`, \
             `_` and `.`, not starting with a dot, at most {} bytes",
            self.0,
            ModelName::MAX_BYTES
        )
    }
}

impl std::error::Error for InvalidName {}

impl TryFrom<String> for ModelName {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<ModelName, InvalidName> {
        ModelName::new(text)
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> String {
        name.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RunId {
    /// `run-7`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run-{}", self.0)
    }
}

impl fmt::Display for VersionId {
    /// `v7`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Display for DatasetId {
    /// The first 12 digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

impl fmt::Display for PolicyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["flight-delay", "shop/churn_v2", "a.b"] {
            assert_eq!(ModelName::new(good).unwrap().as_str(), good);
        }
        for wrong in ["", "a/b/c", "/a", "a/", "..", ".hidden", "a b", "a\\b", "é"] {
            assert!(ModelName::new(wrong).is_err(), "{wrong}");
        }
    }
}
