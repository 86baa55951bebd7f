//! Errors as a user sees them: words and a place on a terminal, JSON for scripts, an exit code.

use std::process::ExitCode;

use serde_json::{Value, json};

/// Anything that ends a command early.
#[derive(Debug)]
pub enum Fault {
    /// Wrong usage: exit code 2.
    Usage(String),
    /// Problems of `afresh.toml`, each with its place: exit code 2.
    Configuration(Box<afresh_config::Error>),
    /// It was tried and failed: exit code 1.
    Failed(anyhow::Error),
    /// It was tried and failed, and this can be done about it: exit code 1.
    Helped { error: anyhow::Error, help: String },
    /// What is wrong was printed as the result: exit code 1 or 2.
    Told(u8),
    /// Somebody pressed Ctrl-C: exit code 130, as shells have it.
    Interrupted,
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
    /// A failure in words alone, with what can be done about it.
    pub fn helped(message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault::Helped { error: anyhow::Error::msg(message.into()), help: help.into() }
    }

    /// Writes the error where errors go and gives the exit code.
    pub fn tell(self, json: bool) -> ExitCode {
        let (message, help, code) = match self {
            Fault::Told(code) => return ExitCode::from(code),
            Fault::Configuration(error) => {
                if json {
                    error.to_json().iter().for_each(print);
                } else {
                    print(&format!("{:?}", miette::Report::new(*error)));
                }
                return ExitCode::from(2);
            }
            Fault::Usage(message) => (message, None, 2),
            Fault::Failed(error) => (chain(&error), None, 1),
            Fault::Helped { error, help } => (chain(&error), Some(help), 1),
            Fault::Interrupted => {
                let help = "what is owed goes on with `afresh run --once`, a backtest when it is called again";
                ("interrupted; the state is whole".to_owned(), Some(help.to_owned()), 130)
            }
        };
        if json {
            print(&of(&message, help.as_deref()));
        } else {
            print(&format!("error: {message}"));
            if let Some(help) = help {
                print(&format!("  help: {help}"));
            }
        }
        ExitCode::from(code)
    }
}

/// `{error: {message, help, at}}` without a place.
pub fn of(message: &str, help: Option<&str>) -> Value {
    json!({"error": {"message": message, "help": help, "at": null}})
}

/// An error and its causes in one line; a cause that was said already is not said again.
pub fn chain(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .reduce(
            |text, cause| if text.ends_with(&cause) { text } else { format!("{text}: {cause}") },
        )
        .unwrap_or_default()
}

/// Nobody may be reading any more, which is no reason to fail otherwise.
fn print<T: std::fmt::Display + ?Sized>(text: &T) {
    use std::io::Write as _;
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Writes a line for people where errors go.
pub fn note(text: &str) {
    print(text);
}
