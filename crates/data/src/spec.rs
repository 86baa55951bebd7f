//! Where a model's rows are and what their columns mean: the checked `[model.x.data]` section.

use afresh_core::time::Duration;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::schema::Task;

/// Where a model's rows are and what their columns mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// A file, a directory, a glob (`*`, `?`, `**`) or dated paths (`{from:%Y%m%d}_{to:%Y%m%d}`).
    pub location: String,
    /// Column that names a row; without it a row is known by its file and place.
    pub id: Option<String>,
    /// Column of the event time.
    pub time: String,
    /// Column of the label; without it no row is ever available.
    pub label: Option<String>,
    /// The label's positive value in a binary task; `1` or `true` where absent.
    pub positive: Option<String>,
    /// Column that says when the label became known.
    pub label_time: Option<String>,
    /// Column that, where given, alone decides when the label may be used.
    pub matured_time: Option<String>,
    /// Time from event to label where neither time column is given.
    pub label_delay: Duration,
    /// Column of row weights, finite and not negative.
    pub weight: Option<String>,
    /// Column of the entity a row is about; never a feature.
    pub entity: Option<String>,
    /// Column of the person a row is about; never a feature.
    pub person_key: Option<String>,
    /// Columns that are not features.
    pub exclude: Vec<String>,
    /// What is predicted.
    pub task: Task,
    /// The zone of times that name none.
    #[serde(with = "zone")]
    pub timezone: Tz,
}

/// Which columns a read fetches; event time, key and availability always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns<'a> {
    /// Every feature and the label.
    All,
    /// No feature.
    TimesAndLabel,
    /// These features, in the order of the schema, and the label.
    Only(&'a [String]),
}

impl SourceSpec {
    /// A source without optional columns, in UTC, its labels known at once.
    #[must_use]
    pub fn new(location: impl Into<String>, time: impl Into<String>, task: Task) -> SourceSpec {
        SourceSpec {
            location: location.into(),
            id: None,
            time: time.into(),
            label: None,
            positive: None,
            label_time: None,
            matured_time: None,
            label_delay: Duration::ZERO,
            weight: None,
            entity: None,
            person_key: None,
            exclude: Vec::new(),
            task,
            timezone: Tz::UTC,
        }
    }

    /// Columns with a role, each with the key that names it; never features.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("id", self.id.as_deref()),
            ("time", Some(self.time.as_str())),
            ("label", self.label.as_deref()),
            ("label_time", self.label_time.as_deref()),
            ("matured_time", self.matured_time.as_deref()),
            ("weight", self.weight.as_deref()),
            ("entity", self.entity.as_deref()),
            ("person_key", self.person_key.as_deref()),
        ]
        .into_iter()
        .filter_map(|(key, name)| name.map(|name| (key, name)))
    }

    /// Whether `column` may be a feature.
    pub(crate) fn may_be_feature(&self, column: &str) -> bool {
        self.exclude.iter().all(|name| name != column)
            && self.roles().all(|(_, name)| name != column)
    }
}

mod zone {
    //! A time zone as its name in the IANA database.

    use chrono_tz::Tz;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(zone: &Tz, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(zone.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Tz, D::Error> {
        let name = String::deserialize(from)?;
        name.parse().map_err(|_ignored| D::Error::custom(format!("`{name}` is not a time zone")))
    }
}
