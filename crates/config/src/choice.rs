//! Values that are one word of a short list.

use afresh_core::gate::Proof;
use afresh_core::policy::CatchUp;
use afresh_data::schema::Task;
use afresh_ml::metrics::Metric;
use afresh_train::recipe::{Categories, Library, RowFormat};
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::{DecayTest, Preset};
use crate::key::{Key, Written, listed, near};
use crate::problem::Findings;

/// A value that is one of a few words.
pub(crate) trait Choice: Sized + Copy + 'static {
    const WORDS: &'static [(&'static str, Self)];
    /// Words that are planned and that this version does not know.
    const LATER: &'static [&'static str] = &[];
}

/// What trains, before its settings are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineName {
    BoostedTrees,
    Forest,
    Linear,
    Command,
    Constant,
}

/// A policy by its name in `afresh.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Never,
    Always,
    Periodic,
    PeriodicDecay,
    Thresholds,
    /// One that is written whole.
    Whole,
}

impl Choice for Preset {
    const WORDS: &'static [(&'static str, Preset)] =
        &[("recommended", Preset::Recommended), ("classic", Preset::Classic)];
}

impl Choice for Kind {
    const WORDS: &'static [(&'static str, Kind)] = &[
        ("periodic+decay", Kind::PeriodicDecay),
        ("periodic", Kind::Periodic),
        ("never", Kind::Never),
        ("always", Kind::Always),
        ("thresholds", Kind::Thresholds),
    ];
}

impl Choice for Metric {
    const WORDS: &'static [(&'static str, Metric)] = &[
        ("auc", Metric::Auc),
        ("accuracy", Metric::Accuracy),
        ("log_loss", Metric::LogLoss),
        ("brier", Metric::Brier),
        ("f1", Metric::F1),
        ("rmse", Metric::Rmse),
        ("mae", Metric::Mae),
        ("r2", Metric::R2),
    ];
}

impl Choice for DecayTest {
    const WORDS: &'static [(&'static str, DecayTest)] =
        &[("sequential", DecayTest::Sequential), ("t-test", DecayTest::TTest)];
}

impl Choice for EngineName {
    const WORDS: &'static [(&'static str, EngineName)] = &[
        ("boosted-trees", EngineName::BoostedTrees),
        ("forest", EngineName::Forest),
        ("linear", EngineName::Linear),
        ("command", EngineName::Command),
        ("constant", EngineName::Constant),
    ];
    const LATER: &'static [&'static str] = &["online"];
}

impl Choice for Task {
    const WORDS: &'static [(&'static str, Task)] = &[
        ("binary", Task::Binary),
        ("multiclass", Task::Multiclass),
        ("regression", Task::Regression),
    ];
}

impl Choice for Categories {
    const WORDS: &'static [(&'static str, Categories)] =
        &[("codes", Categories::Codes), ("native", Categories::Native)];
}

impl Choice for RowFormat {
    const WORDS: &'static [(&'static str, RowFormat)] =
        &[("parquet", RowFormat::Parquet), ("csv", RowFormat::Csv)];
}

impl Choice for Library {
    const WORDS: &'static [(&'static str, Library)] =
        &[("built-in", Library::BuiltIn), ("system", Library::System)];
}

impl Choice for CatchUp {
    const WORDS: &'static [(&'static str, CatchUp)] =
        &[("skip", CatchUp::Skip), ("once", CatchUp::Once), ("all", CatchUp::All)];
}

impl Choice for Proof {
    const WORDS: &'static [(&'static str, Proof)] =
        &[("confidence", Proof::Confidence), ("point", Proof::Point)];
}

/// A [`Choice`] as a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneOf<T>(pub(crate) T);

impl<T: Choice> Key for OneOf<T> {
    fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<OneOf<T>> {
        let DeValue::String(text) = value.get_ref() else {
            findings.refuse(value, key, &listed(&words::<T>()));
            return None;
        };
        if let Some((_, choice)) = T::WORDS.iter().find(|(word, _)| word == text) {
            return Some(OneOf(*choice));
        }
        let words = words::<T>();
        if T::LATER.contains(&text.as_ref()) {
            let message = format!("`{key}` is \"{text}\", which this version does not have");
            findings.add(&value.span(), message, format!("write {}", listed(&words)));
            return None;
        }
        let help = match near(text, &words) {
            Some(near) => format!("did you mean `{near}`? it is one of {}", listed(&words)),
            None => format!("write {}", listed(&words)),
        };
        findings.add(&value.span(), format!("`{key}` is \"{text}\""), help);
        None
    }

    fn schema() -> Json {
        json!({ "enum": words::<T>() })
    }
}

fn words<T: Choice>() -> Vec<&'static str> {
    T::WORDS.iter().map(|(word, _)| *word).collect()
}
