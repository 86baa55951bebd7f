//! Variables that a user's program is given by name: their values are read when it starts, handed to
//! it, and masked wherever it repeats them. Nothing here can be written with its value.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::child::MARK;
use crate::error::Error;

/// A variable for a user's program, and where its value is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Variable {
    /// The variable of the same name that Afresh was started with.
    Same(String),
    /// A variable of another name that Afresh was started with.
    Env {
        /// As the program knows it.
        name: String,
        /// As Afresh knows it.
        env: String,
    },
    /// The text of a file without the line breaks at its end.
    File {
        /// As the program knows it.
        name: String,
        /// Relative to the configuration.
        file: PathBuf,
    },
}

/// Names and values, for one start of a program.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    variables: Vec<(String, OsString)>,
    /// What is masked, longest first, and by what.
    masks: Vec<(Vec<u8>, String)>,
}

/// Masks a stream that arrives in pieces.
#[derive(Debug)]
pub(crate) struct Masking {
    secrets: Secrets,
    held: Vec<u8>,
}

/// Longest value that is read from a file.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Shorter values are no secrets: masking every `1` would leave nothing of a log.
const MASKED_BYTES_MIN: usize = 6;

impl Variable {
    /// As the program knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Variable::Same(name) | Variable::Env { name, .. } | Variable::File { name, .. } => name,
        }
    }

    /// Whether its names can be names.
    ///
    /// # Errors
    /// Says what to write instead, without repeating what may be a secret.
    pub fn check(&self) -> Result<(), Error> {
        let source = if let Variable::Env { env, .. } = self { Some(env.as_str()) } else { None };
        for name in [Some(self.name()), source].into_iter().flatten() {
            let reason = match name {
                name if name.contains('=') => {
                    "holds a value: write the name only, the value is read when the program starts"
                }
                name if name.is_empty() || name.contains('\0') => "holds an empty name",
                name if name.starts_with("AFRESH_") => {
                    "holds a name that begins with `AFRESH_`: those are Afresh's own"
                }
                _ => continue,
            };
            return Err(Error::Parameter { name: "env".to_owned(), reason: reason.to_owned() });
        }
        Ok(())
    }

    fn value(&self, base: Option<&Path>) -> Result<OsString, Error> {
        // A step was started with all of them under the names that its program knows.
        let given = std::env::var_os(MARK).and_then(|_mark| std::env::var_os(self.name()));
        if let Some(value) = given {
            return Ok(value);
        }
        let set = |name: &str| {
            std::env::var_os(name).ok_or_else(|| Error::Variable { name: name.to_owned() })
        };
        match self {
            Variable::Same(name) => set(name),
            Variable::Env { env, .. } => set(env),
            Variable::File { name, file } => {
                let path = base.map_or_else(|| file.clone(), |base| base.join(file));
                read(&path).map_err(|message| Error::SecretFile {
                    name: name.clone(),
                    path: path.display().to_string(),
                    message,
                })
            }
        }
    }
}

impl Secrets {
    /// Reads the values of `variables`; files lie relative to `base`.
    pub(crate) fn read(variables: &[Variable], base: Option<&Path>) -> Result<Secrets, Error> {
        let named = variables
            .iter()
            .map(|variable| Ok((variable.name().to_owned(), variable.value(base)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        let mut masks = Vec::new();
        for (name, value) in &named {
            // A log breaks a text of many lines at any of them.
            for line in value.as_bytes().split(|byte| *byte == b'\n') {
                let line = line.trim_ascii();
                if MASKED_BYTES_MIN <= line.len() {
                    masks.push((line.to_vec(), format!("[{name}]")));
                }
            }
        }
        masks.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Ok(Secrets { variables: named, masks })
    }

    /// For the environment of a process.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_os_str()))
    }

    /// For output that arrives in pieces.
    pub(crate) fn masking(&self) -> Masking {
        Masking { secrets: self.clone(), held: Vec::new() }
    }

    /// Anything that can be written as JSON with all its texts masked.
    pub(crate) fn masked<T: Serialize + DeserializeOwned>(&self, value: T) -> T {
        if self.masks.is_empty() {
            return value;
        }
        let masked = serde_json::to_value(&value).map(|json| self.mask_json(json));
        masked.and_then(serde_json::from_value).unwrap_or(value)
    }

    fn mask_json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.mask_text(&text)),
            Value::Array(values) => {
                Value::Array(values.into_iter().map(|value| self.mask_json(value)).collect())
            }
            Value::Object(values) => {
                let masked =
                    |(key, value): (String, _)| (self.mask_text(&key), self.mask_json(value));
                Value::Object(values.into_iter().map(masked).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }

    fn mask_text(&self, text: &str) -> String {
        let mut masking = self.masking();
        let mut masked = masking.push(text.as_bytes());
        masked.extend(masking.end());
        String::from_utf8_lossy(&masked).into_owned()
    }

    /// The first value in `bytes`: where, how long, and by what it is masked.
    fn find(&self, bytes: &[u8]) -> Option<(usize, usize, &str)> {
        let place = |value: &[u8]| bytes.windows(value.len()).position(|window| window == value);
        let found = self
            .masks
            .iter()
            .filter_map(|(value, mask)| Some((place(value)?, value.len(), mask.as_str())));
        // At one place the longest comes first, as the masks stand.
        found.min_by_key(|(at, _, _)| *at)
    }
}

impl Masking {
    /// The next piece; what may be the begin of a value is held back.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        if self.secrets.masks.is_empty() {
            return piece.to_vec();
        }
        self.held.extend_from_slice(piece);
        let longest = self.secrets.masks.first().map_or(0, |(value, _)| value.len());
        let from = self.held.len().saturating_sub(longest);
        let may_go_on = |at: &usize| {
            let rest = &self.held[*at..];
            self.secrets
                .masks
                .iter()
                .any(|(value, _)| rest.len() < value.len() && value.starts_with(rest))
        };
        let until = (from..self.held.len()).find(may_go_on).unwrap_or(self.held.len());
        self.tell(until)
    }

    /// What was held back at the end of the stream.
    pub(crate) fn end(&mut self) -> Vec<u8> {
        self.tell(self.held.len())
    }

    /// What is held, masked, but for the values that begin at `until` or later.
    fn tell(&mut self, until: usize) -> Vec<u8> {
        let (mut told, mut done) = (Vec::new(), 0);
        while let Some((at, length, mask)) = self.secrets.find(&self.held[done..]) {
            if until <= done + at {
                break;
            }
            told.extend_from_slice(&self.held[done..done + at]);
            told.extend_from_slice(mask.as_bytes());
            done += at + length;
        }
        let rest = done.max(until);
        told.extend_from_slice(&self.held[done..rest]);
        self.held.drain(..rest);
        told
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.iter().map(|(name, _)| name)).finish()
    }
}

fn read(path: &Path) -> Result<OsString, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if FILE_BYTES_MAX < length {
        return Err(format!("it has {length} bytes, a value has at most {FILE_BYTES_MAX}"));
    }
    let mut bytes = fs::read(path).map_err(|error| error.to_string())?;
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.contains(&0) {
        return Err("it is not a text".to_owned());
    }
    Ok(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[(&str, &str)]) -> Secrets {
        let dir = tempfile::tempdir().unwrap();
        let variables = values.iter().map(|(name, value)| {
            let file = dir.path().join(name);
            fs::write(&file, value).unwrap();
            Variable::File { name: (*name).to_owned(), file }
        });
        Secrets::read(&variables.collect::<Vec<_>>(), None).unwrap()
    }

    #[test]
    fn values_are_masked_however_the_stream_is_cut() {
        let secrets = secrets(&[("TOKEN", "hunter22\n"), ("LONG", "hunter2222"), ("SHORT", "on")]);
        let text = "is hunter22, on hunter2222 and hunthunter22hunter2";
        let masked = "is [TOKEN], on [LONG] and hunt[TOKEN]hunter2";
        for piece in 1..text.len() {
            let mut masking = secrets.masking();
            let mut told = Vec::new();
            for piece in text.as_bytes().chunks(piece) {
                told.extend(masking.push(piece));
            }
            told.extend(masking.end());
            assert_eq!(String::from_utf8(told).unwrap(), masked, "in pieces of {piece}");
        }
        let shown = format!("{secrets:?}");
        assert_eq!(shown, r#"{"TOKEN", "LONG", "SHORT"}"#);
    }

    #[test]
    fn each_line_of_a_key_is_masked() {
        let secrets = secrets(&[("KEY", "-----BEGIN-----\nabcdefgh\nxyz\n")]);
        let value = serde_json::json!({ "a": ["say abcdefgh"], "-----BEGIN-----": 1 });
        let masked = serde_json::json!({ "a": ["say [KEY]"], "[KEY]": 1 });
        assert_eq!(secrets.masked(value), masked);
    }

    #[test]
    fn names_are_checked_without_repeating_a_value() {
        let refused = |variable: Variable| variable.check().unwrap_err().to_string();
        let error = refused(Variable::Same("TOKEN=hunter22".to_owned()));
        assert!(error.contains("write the name only") && !error.contains("hunter22"), "{error}");
        assert!(refused(Variable::Same("AFRESH_OUT".to_owned())).contains("Afresh's own"));
        let env = Variable::Env { name: "DB".to_owned(), env: String::new() };
        assert!(refused(env).contains("an empty name"));
        Variable::Same("TOKEN".to_owned()).check().unwrap();
    }

    #[test]
    fn variables_are_written_by_name_only() {
        let variables = [
            Variable::Same("TOKEN".to_owned()),
            Variable::File { name: "DB".to_owned(), file: "secrets/db".into() },
            Variable::Env { name: "DB".to_owned(), env: "PRODUCTION_DB".to_owned() },
        ];
        let text = serde_json::to_string(&variables).unwrap();
        assert_eq!(
            text,
            r#"["TOKEN",{"name":"DB","file":"secrets/db"},{"name":"DB","env":"PRODUCTION_DB"}]"#
        );
        assert_eq!(serde_json::from_str::<Vec<Variable>>(&text).unwrap(), variables);
    }

    #[test]
    fn files_that_hold_no_value_are_named() {
        let error = |file: &str| {
            let variable = Variable::File { name: "DB".to_owned(), file: file.into() };
            Secrets::read(&[variable], Some(Path::new("/nowhere"))).unwrap_err().to_string()
        };
        assert!(error("db").contains("/nowhere/db"), "{}", error("db"));
        assert!(error("/proc/self/environ").contains("not a text"));
    }
}
