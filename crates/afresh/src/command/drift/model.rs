//! The champion of a configured model: what it thinks of columns, and what it predicts.

use afresh_core::id::VersionId;
use afresh_train::scorer::Scorer;
use anyhow::Context as _;

use crate::command::Context;
use crate::fault::Fault;
use crate::live::{self, Live};
use crate::wiring;

/// A model's champion, loaded.
pub(super) struct Champion {
    pub(super) model: String,
    pub(super) version: VersionId,
    pub(super) scorer: Scorer,
    /// Columns by which its gate looks at rows in parts.
    pub(super) slices: Vec<String>,
    /// The configured threshold.
    pub(super) threshold: Option<f64>,
}

impl Champion {
    /// The champion of the model called `name`, or the candidate where there is none yet.
    pub(super) async fn load(context: &Context, name: &str) -> Result<Champion, Fault> {
        let (config, store) = Live::look(context).await?;
        let model = wiring::model(&config, Some(name))?;
        let none = || {
            let help = "`afresh retrain` makes a first one";
            Fault::helped(
                format!("{} has no version whose columns could be weighed", model.name),
                help,
            )
        };
        let store = store.ok_or_else(none)?;
        let machine = live::machine(&config, &store, &[model]).await?;
        let state = machine.model(&model.name);
        let version = state.and_then(|state| state.champion().or(state.phase().candidate()));
        let version = version.ok_or_else(none)?;
        let settings = wiring::settings(&config, model, &config.state);
        let scorer = Scorer::load_with(&settings.artifact(version), &wiring::program()?);
        let scorer =
            scorer.with_context(|| format!("failed to use {version} of {}", model.name))?;
        Ok(Champion {
            model: model.name.to_string(),
            version,
            scorer,
            slices: model.judging.slices.clone(),
            threshold: model.policy.drift,
        })
    }

    /// Names of its features.
    pub(super) fn features(&self) -> Vec<String> {
        let features = self.scorer.manifest().schema.features.iter();
        features.map(|feature| feature.name.clone()).collect()
    }

    /// Its gain by column; all alike where it has none.
    pub(super) fn importance(&self, columns: &[String]) -> Vec<f64> {
        let known = &self.scorer.manifest().importance;
        let gain = |column: &String| {
            known.iter().find(|of| of.feature == *column).map_or(0.0, |of| of.gain.max(0.0))
        };
        let gains = columns.iter().map(gain).collect::<Vec<_>>();
        if gains.iter().any(|gain| *gain > 0.0) { gains } else { vec![1.0; columns.len()] }
    }
}
