//! What a model's rows look like: inferred once, stored with every version, checked ever after.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the model predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The probability of the positive class; one output per row.
    Binary,
    /// One probability per class, in the order of `classes`.
    Multiclass,
    /// A number; one output per row.
    Regression,
}

/// The kind of one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Integers and floats.
    Numeric,
    /// True and false; held as 1 and 0.
    Boolean,
    /// Texts and dictionaries.
    Categorical,
}

/// One feature of a schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// Name in the source.
    pub name: String,
    /// How it is read.
    pub kind: Kind,
}

/// The features and the label of a model's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// What is predicted.
    pub task: Task,
    /// Features in the order of the source; id, time and label columns are never features.
    pub features: Vec<Feature>,
    /// The label's classes as written in the source, by class index; empty for regression. Binary:
    /// `[negative, positive]`.
    pub classes: Vec<String>,
}

impl Schema {
    /// Numbers that a prediction of one row has.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self.task {
            Task::Binary | Task::Regression => 1,
            Task::Multiclass => self.classes.len(),
        }
    }

    /// The feature called `name`.
    #[must_use]
    pub fn feature(&self, name: &str) -> Option<&Feature> {
        self.features.iter().find(|feature| feature.name == name)
    }
}

impl fmt::Display for Kind {
    /// As errors name it: `numbers`, `true or false`, `categories`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Numeric => "numbers",
            Kind::Boolean => "true or false",
            Kind::Categorical => "categories",
        })
    }
}
