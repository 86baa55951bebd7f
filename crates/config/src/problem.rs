//! What is wrong with a configuration: each problem with its place and what to write instead.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};
use serde_json::{Value, json};

/// Why there is no configuration. Trying again helps only after the file was changed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// The file is not there or cannot be read.
    #[error("failed to read the configuration `{path}`", path = .path.display())]
    #[diagnostic(help(
        "write `afresh init DATA_FILE` for a first configuration, or name another with `--config`"
    ))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] Problems),
}

/// All problems of one file in order of their places; at least one.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{} in `{file}`", counted(.problems.len()))]
pub struct Problems {
    file: String,
    #[related]
    problems: Vec<Problem>,
}

/// One problem.
#[derive(Clone, Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct Problem {
    message: String,
    #[help]
    help: String,
    #[source_code]
    text: NamedSource<Arc<String>>,
    #[label("here")]
    span: SourceSpan,
    place: Place,
}

/// Where something stands in a text file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as the caller named it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

/// Byte positions in the text.
pub(crate) type Span = Range<usize>;

/// What is wrong, before it is known in which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    at: Span,
    message: String,
    help: String,
}

/// Everything that was found wrong so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Problems {
    pub(crate) fn new(file: &str, text: &str, findings: Findings) -> Problems {
        let source = NamedSource::new(file, Arc::new(text.to_owned())).with_language("TOML");
        let mut findings = findings.0;
        findings.sort_by_key(|finding| finding.at.start);
        findings.dedup();
        let problems = findings.into_iter().map(|Finding { at, message, help }| {
            let place = Place::of(file, text, at.start);
            Problem { message, help, text: source.clone(), span: at.into(), place }
        });
        Problems { file: file.to_owned(), problems: problems.collect() }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }
}

impl Problem {
    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead.
    #[must_use]
    pub fn advice(&self) -> &str {
        &self.help
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// `{error: {message, help, at: {file, line, column}}}`
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Place { file, line, column } = &self.place;
        let at = json!({ "file": file, "line": line, "column": column });
        json!({ "error": { "message": self.message, "help": self.help, "at": at } })
    }
}

impl Error {
    /// One object of the form `{error: {message, help, at}}` for each problem; `at` has no line
    /// where the file cannot be read.
    #[must_use]
    pub fn to_json(&self) -> Vec<Value> {
        match self {
            Error::Invalid(problems) => problems.iter().map(Problem::to_json).collect(),
            Error::Unreadable { path, source } => {
                let message = format!("{self}: {source}");
                let help = self.help().map(|help| help.to_string());
                let at = json!({ "file": path });
                vec![json!({ "error": { "message": message, "help": help, "at": at } })]
            }
        }
    }
}

impl Place {
    fn of(file: &str, text: &str, offset: usize) -> Place {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        Place { file: file.to_owned(), line, column }
    }
}

impl Findings {
    /// Notes that what stands at `at` is wrong, and what to write instead.
    pub(crate) fn add(&mut self, at: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.0.push(Finding { at: at.clone(), message: message.into(), help: help.into() });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Place {
    /// `afresh.toml:12:5`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

fn counted(count: usize) -> String {
    if count == 1 { "one problem".into() } else { format!("{count} problems") }
}
