//! A variable for a user's program, by name; what may be a secret's value is never repeated.

use afresh_train::error::Error;
use afresh_train::recipe::Variable;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::key::{Key, Written};
use crate::problem::Findings;

const WANTED: &str = "a name such as `\"TOKEN\"`, or `{ name = \"DB\", file = \"secrets/db\" }` with `file` or `env`";

impl Key for Variable {
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is written is wrong alike")]
    fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<Variable> {
        let read = match value.get_ref() {
            DeValue::String(name) => Some(Variable::Same(name.to_string())),
            DeValue::Table(table) => {
                let text = |key: &str| Some(table.get(key)?.get_ref().as_str()?.to_owned());
                let source = |key| text(key).filter(|source| !source.trim().is_empty());
                match (text("name"), source("env"), source("file")) {
                    (Some(name), Some(env), None) if table.len() == 2 => {
                        Some(Variable::Env { name, env })
                    }
                    (Some(name), None, Some(file)) if table.len() == 2 => {
                        Some(Variable::File { name, file: file.into() })
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        let Some(variable) = read else {
            let message = format!("`{key}` holds something that names no variable");
            findings.add(&value.span(), message, format!("write {WANTED}"));
            return None;
        };
        if let Err(Error::Parameter { reason, .. }) = variable.check() {
            let (what, help) = reason.split_once(": ").unwrap_or((&reason, WANTED));
            findings.add(&value.span(), format!("`{key}` {what}"), help);
            return None;
        }
        Some(variable)
    }

    fn schema() -> Json {
        let name = json!({ "type": "string", "pattern": "^[^=]+$" });
        let from = |source: &str| {
            json!({
                "type": "object",
                "properties": { "name": name, source: { "type": "string", "minLength": 1 } },
                "required": ["name", source],
                "additionalProperties": false,
            })
        };
        json!({ "anyOf": [name, from("env"), from("file")] })
    }
}
