//! Errors as a user sees them: words and a place on a terminal, JSON for scripts, an exit code.

use std::process::ExitCode;

use serde_json::json;

/// Anything that ends a command early.
#[derive(Debug)]
pub enum Fault {
    /// Wrong usage or configuration: exit code 2.
    Usage(String),
    /// Problems of `afresh.toml`, each with its place: exit code 2.
    Configuration(Box<afresh_config::Error>),
    /// It was tried and failed: exit code 1.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Fault {
        Fault::Failed(error)
    }
}

impl From<afresh_config::Error> for Fault {
    fn from(error: afresh_config::Error) -> Fault {
        Fault::Configuration(Box::new(error))
    }
}

impl Fault {
    /// Writes the error where errors go and gives the exit code.
    #[expect(clippy::print_stderr, reason = "the one place that writes errors")]
    pub fn tell(self, json: bool) -> ExitCode {
        match self {
            Fault::Usage(message) => {
                if json {
                    eprintln!("{}", json!({"error": {"message": message, "help": null, "at": null}}));
                } else {
                    eprintln!("error: {message}");
                }
                ExitCode::from(2)
            }
            Fault::Configuration(error) => {
                if json {
                    for problem in error.to_json() {
                        eprintln!("{problem}");
                    }
                } else {
                    eprintln!("{:?}", miette::Report::new(*error));
                }
                ExitCode::from(2)
            }
            Fault::Failed(error) => {
                let message = error
                    .chain()
                    .map(ToString::to_string)
                    .reduce(|text, cause| {
                        if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
                    })
                    .unwrap_or_default();
                if json {
                    eprintln!("{}", json!({"error": {"message": message, "help": null, "at": null}}));
                } else {
                    eprintln!("error: {message}");
                }
                ExitCode::FAILURE
            }
        }
    }
}
