//! How a model is trained: the engine, its parameters, and a hash that names the whole.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use afresh_data::schema::Task;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::boosted;
use crate::error::Error;
use crate::forest;
use crate::linear;
pub use crate::secret::Variable;

/// How a model is trained. The same recipe on the same rows gives the same model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What trains.
    pub engine: Engine,
    /// Seed of everything random.
    #[serde(default)]
    pub seed: u64,
    /// Threads of a built-in engine; the model is the same for any number.
    #[serde(default = "default_threads")]
    pub threads: usize,
}

/// What trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Engine {
    /// Gradient-boosted trees.
    BoostedTrees(BoostedTrees),
    /// A random forest: the mean of trees that each saw other rows and columns.
    Forest(Forest),
    /// Linear or logistic regression.
    Linear(Linear),
    /// An external program; see the contract in the design.
    Command(Command),
    /// Predicts the weighted mean of the training labels, or the shares of the classes.
    Constant,
}

impl Engine {
    /// Whether early-stopping rows settle anything in its training.
    #[must_use]
    pub fn searches(&self) -> bool {
        match self {
            Engine::BoostedTrees(trees) => trees.early_stopping > 0,
            Engine::Linear(linear) => linear.params.get("path") == Some(&Value::Bool(true)),
            Engine::Command(_) => true,
            Engine::Forest(_) | Engine::Constant => false,
        }
    }
}

/// Settings of boosted trees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoostedTrees {
    /// By XGBoost's names. Left out: `eta` 0.1, `max_depth` 6, `tree_method` hist, `max_bin` 256.
    pub params: BTreeMap<String, Value>,
    /// Rounds at most.
    pub rounds: usize,
    /// Rounds without gain on the early-stopping rows before training ends; 0 never ends early.
    pub early_stopping: usize,
    /// How categories become numbers.
    pub categories: Categories,
    /// Cap on trees of a continued model; past it a full retraining is due.
    pub trees_max: usize,
    /// What trains them. Left out of the text where it is the built-in one, as before there was a choice.
    #[serde(skip_serializing_if = "Library::is_built_in")]
    pub library: Library,
}

/// What trains boosted trees. Both take the same parameters and leave the same kind of file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Library {
    /// What Afresh brings.
    #[default]
    BuiltIn,
    /// XGBoost itself: the file that `XGBOOST_LIB` names, else the one inside Python's `xgboost`.
    System,
}

/// Settings of a random forest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Forest {
    /// By XGBoost's names; for defaults see [`crate::forest`].
    pub params: BTreeMap<String, Value>,
    /// Number of trees.
    pub trees: usize,
    /// How categories become numbers.
    pub categories: Categories,
}

/// Settings of a linear model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Linear {
    /// See [`crate::linear`] for names and defaults.
    pub params: BTreeMap<String, Value>,
}

/// How categories become numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Categories {
    /// Positions among the sorted names, split like numbers.
    #[default]
    Codes,
    /// Splits by sets of categories: as good on real streams, but slower to train and to score.
    Native,
}

/// An external trainer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Command {
    /// Program and arguments; runs in a scratch directory.
    pub command: Vec<String>,
    /// Program and arguments that score rows where the model's format is not a known one.
    pub predict: Option<Vec<String>>,
    /// The environment variables that are passed on, by name.
    pub env: Vec<Variable>,
    /// What the rows handed over are written as.
    #[serde(skip_serializing_if = "RowFormat::is_default")]
    pub format: RowFormat,
    /// Handed to the program as `parameters` of its specification.
    pub params: BTreeMap<String, Value>,
    /// Arguments that name a file below this directory are passed as absolute paths. Not hashed.
    pub base: Option<PathBuf>,
}

/// What rows are handed to a user's program as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowFormat {
    /// Typed and compressed.
    #[default]
    Parquet,
    /// For languages that read no Parquet: a header, missing values empty, times as RFC 3339.
    Csv,
}

/// Hash of a recipe: 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecipeHash(pub String);

impl Recipe {
    /// Boosted trees with the default settings.
    #[must_use]
    pub fn boosted_trees() -> Recipe {
        Recipe::new(Engine::BoostedTrees(BoostedTrees::default()))
    }

    /// The constant predictor.
    #[must_use]
    pub fn constant() -> Recipe {
        Recipe::new(Engine::Constant)
    }

    /// `engine` with seed 0 and one thread.
    #[must_use]
    pub fn new(engine: Engine) -> Recipe {
        Recipe { engine, seed: 0, threads: default_threads() }
    }

    /// Checks names and values of all settings for `task`.
    ///
    /// # Errors
    /// Names the setting and says what to write instead.
    pub fn check(&self, task: &Task) -> Result<(), Error> {
        if self.threads == 0 {
            return Err(bad("threads", "must be at least 1"));
        }
        match &self.engine {
            Engine::Constant => Ok(()),
            Engine::BoostedTrees(settings) => {
                if settings.rounds == 0 {
                    return Err(bad("rounds", "must be at least 1"));
                }
                // The number of classes is the schema's, not the recipe's: two stand for any.
                let outputs = if *task == Task::Multiclass { 2 } else { 1 };
                boosted::check(settings, task, outputs)
            }
            Engine::Forest(settings) => {
                if settings.trees == 0 {
                    return Err(bad("trees", "must be at least 1"));
                }
                forest::check(settings)
            }
            Engine::Linear(settings) => linear::check(settings),
            Engine::Command(command) => {
                for (name, words) in
                    [("command", Some(&command.command)), ("predict", command.predict.as_ref())]
                {
                    if words.is_some_and(|words| words.first().is_none_or(String::is_empty)) {
                        return Err(bad(name, "is empty: write the program and its arguments"));
                    }
                }
                command.env.iter().try_for_each(Variable::check)
            }
        }
    }

    /// Names what is trained: equal for equal settings, whatever the machine, the threads and the
    /// place of the configuration.
    #[must_use]
    pub fn hash(&self) -> RecipeHash {
        let mut recipe = self.clone();
        recipe.threads = default_threads();
        if let Engine::Command(command) = &mut recipe.engine {
            command.base = None;
        }
        // Maps are ordered, so equal recipes have equal text. Recipes hold no map with other
        // keys than text, the only thing that writing JSON can fail for.
        let text = serde_json::to_vec(&recipe).unwrap_or_default();
        RecipeHash(blake3::hash(&text).to_hex().to_string())
    }
}

impl RowFormat {
    /// `parquet` or `csv`: the name and the ending of files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RowFormat::Parquet => "parquet",
            RowFormat::Csv => "csv",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
    fn is_default(&self) -> bool {
        *self == RowFormat::default()
    }
}

impl Engine {
    /// The variables that a user's program is given, and where their files lie.
    pub(crate) fn variables(&self) -> (&[Variable], Option<&Path>) {
        if let Engine::Command(command) = self {
            (&command.env, command.base.as_deref())
        } else {
            (&[], None)
        }
    }

    /// The word of the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Engine::BoostedTrees(_) => "boosted-trees",
            Engine::Forest(_) => "forest",
            Engine::Linear(_) => "linear",
            Engine::Command(_) => "command",
            Engine::Constant => "constant",
        }
    }
}

impl Engine {
    /// Settings by the engine's own names, where it has such.
    #[must_use]
    pub fn params_mut(&mut self) -> Option<&mut BTreeMap<String, Value>> {
        match self {
            Engine::BoostedTrees(trees) => Some(&mut trees.params),
            Engine::Forest(forest) => Some(&mut forest.params),
            Engine::Linear(linear) => Some(&mut linear.params),
            Engine::Command(command) => Some(&mut command.params),
            Engine::Constant => None,
        }
    }
}

impl Library {
    fn is_built_in(&self) -> bool {
        *self == Library::BuiltIn
    }
}

impl Default for Forest {
    fn default() -> Forest {
        Forest { params: BTreeMap::new(), trees: 100, categories: Categories::default() }
    }
}

impl Default for BoostedTrees {
    fn default() -> BoostedTrees {
        BoostedTrees {
            params: BTreeMap::new(),
            rounds: 200,
            early_stopping: 20,
            categories: Categories::default(),
            trees_max: 2_000,
            library: Library::BuiltIn,
        }
    }
}

impl fmt::Display for RecipeHash {
    /// The first 12 digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

fn default_threads() -> usize {
    1
}

fn bad(name: &str, reason: &str) -> Error {
    Error::Parameter { name: name.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Retry;

    fn with(name: &str, value: Value) -> Recipe {
        Recipe::new(Engine::BoostedTrees(BoostedTrees {
            params: [(name.to_owned(), value)].into(),
            ..BoostedTrees::default()
        }))
    }

    #[test]
    fn unknown_parameter_suggests_near_names() {
        let error = with("max_dept", 4.into()).check(&Task::Binary).unwrap_err();
        assert_eq!(error.to_string(), "unknown parameter `max_dept`: did you mean `max_depth`?");
        assert_eq!(error.retry(), Retry::Permanent);
        let error = with("subsampling", 0.5.into()).check(&Task::Binary).unwrap_err();
        assert!(error.to_string().contains("`subsample`"), "{error}");
    }

    #[test]
    fn wrong_values_name_their_parameter() {
        for (name, value) in [
            ("eta", Value::from("fast")),
            ("eta", Value::from(-1.0)),
            ("max_depth", Value::from(-3)),
            ("objective", Value::from("reg:squarederror")),
            ("seed", Value::from(3)),
            ("booster", Value::from("gblinear")),
        ] {
            let error = with(name, value.clone()).check(&Task::Binary).unwrap_err();
            assert!(error.to_string().contains(&format!("`{name}`")), "{name} = {value}: {error}");
        }
    }

    #[test]
    fn xgboost_names_and_aliases_are_taken() {
        for (name, value) in [
            ("learning_rate", Value::from(0.2)),
            ("reg_lambda", Value::from(2)),
            ("subsample", Value::from(0.8)),
            ("grow_policy", Value::from("lossguide")),
            ("monotone_constraints", Value::from("(1,-1)")),
        ] {
            for task in [Task::Binary, Task::Multiclass, Task::Regression] {
                with(name, value.clone()).check(&task).unwrap();
            }
        }
    }

    #[test]
    fn hash_follows_settings_and_nothing_else() {
        let recipe = Recipe::boosted_trees();
        assert_eq!(recipe.hash(), Recipe { threads: 8, ..recipe.clone() }.hash());
        assert_ne!(recipe.hash(), Recipe { seed: 1, ..recipe.clone() }.hash());
        assert_ne!(recipe.hash(), with("eta", 0.2.into()).hash());
        let command = |base: &str| {
            Recipe::new(Engine::Command(Command {
                command: vec!["train".into()],
                base: Some(base.into()),
                ..Command::default()
            }))
        };
        assert_eq!(command("a").hash(), command("b").hash());
        let text = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), recipe);
    }

    #[test]
    fn empty_command_is_refused() {
        let recipe = Recipe::new(Engine::Command(Command::default()));
        let error = recipe.check(&Task::Binary).unwrap_err();
        assert!(error.to_string().starts_with("parameter `command` is empty"), "{error}");
    }
}
