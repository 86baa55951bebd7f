//! How keys are read: a written value becomes a type, or a finding that names key and place.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use crate::problem::{Findings, Span};

/// A value as it stands in the file.
pub(crate) type Written<'a> = Spanned<DeValue<'a>>;

/// What can stand after a key.
pub(crate) trait Key: Sized {
    /// The value; where it is wrong, a finding for everything that is wrong with it.
    fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<Self>;
    /// Its JSON Schema.
    fn schema() -> Json;
}

/// What is right or wrong as a whole.
pub(crate) trait Plain: Sized {
    /// Completes the sentence "write …".
    const WANTED: &'static str;
    fn parse(value: &DeValue<'_>) -> Option<Self>;
    fn schema() -> Json;
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) at: Span,
}

impl<T: Plain> Key for T {
    fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<T> {
        let parsed = T::parse(value.get_ref());
        if parsed.is_none() {
            findings.refuse(value, key, T::WANTED);
        }
        parsed
    }

    fn schema() -> Json {
        <T as Plain>::schema()
    }
}

impl<T: Key> Key for Placed<T> {
    fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<Placed<T>> {
        Some(Placed { value: T::read(value, key, findings)?, at: value.span() })
    }

    fn schema() -> Json {
        T::schema()
    }
}

impl<T: Key> Key for Vec<T> {
    fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<Vec<T>> {
        let DeValue::Array(values) = value.get_ref() else {
            findings.refuse(value, key, "a list in square brackets");
            return None;
        };
        // All are read, so that every wrong one is found.
        let read = values.iter().map(|value| T::read(value, key, findings)).collect::<Vec<_>>();
        read.into_iter().collect()
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema() })
    }
}

impl<T: Key> Key for BTreeMap<String, Placed<T>> {
    fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            findings.refuse(value, key, "a table such as `{ name = 1 }`");
            return None;
        };
        let mut out = BTreeMap::new();
        for (name, value) in table {
            if let Some(read) = Key::read(value, &join(key, name.get_ref()), findings) {
                out.insert(name.get_ref().to_string(), read);
            }
        }
        Some(out)
    }

    fn schema() -> Json {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}

impl Findings {
    /// What stands there is not what the key takes.
    pub(crate) fn refuse(&mut self, value: &Written<'_>, key: &str, wanted: &str) {
        self.add(
            &value.span(),
            format!("`{key}` is {}", shown(value.get_ref())),
            format!("write {wanted}"),
        );
    }

    /// `name` is no key of the section `section`, whose keys are `known`.
    pub(crate) fn unknown(&mut self, at: &Span, section: &str, name: &str, known: &[&str]) {
        let help = match near(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of {}", listed(known)),
        };
        self.add(at, format!("unknown key `{}`", join(section, name)), help);
    }
}

/// The JSON Schema of a section with these lines of documentation and keys.
pub(crate) fn object_schema<const KEYS: usize>(
    about: &[&str],
    properties: [(String, Json); KEYS],
) -> Json {
    json!({
        "type": "object",
        "description": prose(about),
        "properties": serde_json::Map::from_iter(properties),
        "additionalProperties": false,
    })
}

/// Lines of documentation as one.
pub(crate) fn prose(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// `section.name`
pub(crate) fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// The one of `known` that looks most like `name`, if any does.
pub(crate) fn near<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase().replace('-', "_");
    let away = |known: &str| edit_distance(&lower, &known.replace('-', "_"));
    known
        .iter()
        .map(|known| (away(known), *known))
        .filter(|(away, known)| *away <= (known.len() / 3).max(1))
        .min()
        .map(|(_, known)| known)
}

/// `` `a`, `b` or `c` ``
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// A value in a message: scalars as written, at most 60 characters.
fn shown(value: &DeValue<'_>) -> String {
    const LENGTH_MAX: usize = 60;
    match value {
        DeValue::String(text) if text.chars().count() > LENGTH_MAX => {
            format!("\"{}…\"", text.chars().take(LENGTH_MAX).collect::<String>())
        }
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// Edits between two texts, a swap of neighbours counted as one (optimal string alignment).
fn edit_distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.chars().collect::<Vec<_>>(), to.chars().collect::<Vec<_>>());
    let mut costs = vec![(0..=to.len()).collect::<Vec<_>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = costs[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut cost = replaced.min(costs[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                cost = cost.min(costs[i - 2][j - 2] + 1);
            }
            row.push(cost);
        }
        costs.push(row);
    }
    costs[from.len()][to.len()]
}

/// Declares a section: each key with its documentation, its type and the default that the schema
/// shows. From this one list come the struct, its reader with near names, and the JSON Schema.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $( $(#[doc = $doc:literal])+ $key:ident: $kind:ty $(= $default:tt)?, )*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, Default)]
        pub(crate) struct $name {
            /// Where the section stands; empty at 0 where it is not written.
            #[allow(dead_code, reason = "not every section is ever pointed at")]
            pub(crate) at: $crate::problem::Span,
            /// Keys that are written and wrong; they are not missing.
            #[allow(dead_code, reason = "not every section needs a key")]
            pub(crate) refused: Vec<&'static str>,
            $( $(#[doc = $doc])+ pub(crate) $key: Option<$crate::key::Placed<$kind>>, )*
        }

        impl $crate::key::Key for $name {
            fn read(
                value: &$crate::key::Written<'_>,
                key: &str,
                findings: &mut $crate::problem::Findings,
            ) -> Option<$name> {
                let toml::de::DeValue::Table(table) = value.get_ref() else {
                    findings.refuse(value, key, &format!("a section `[{key}]`"));
                    return None;
                };
                Some($name::read_table(table, value.span(), key, findings))
            }

            fn schema() -> serde_json::Value {
                #[allow(unused_mut, reason = "a key may have no default")]
                let properties = [$({
                    let mut schema = <$kind as $crate::key::Key>::schema();
                    schema["description"] = $crate::key::prose(&[$($doc),+]).into();
                    $( schema["default"] = serde_json::json!($default); )?
                    (stringify!($key).to_owned(), schema)
                }),*];
                $crate::key::object_schema(&[$($about),+], properties)
            }
        }

        impl $name {
            pub(crate) fn read_table(
                table: &toml::de::DeTable<'_>,
                at: $crate::problem::Span,
                key: &str,
                findings: &mut $crate::problem::Findings,
            ) -> $name {
                let mut section = $name { at, ..$name::default() };
                for (name, value) in table {
                    match name.get_ref().as_ref() {
                        $( stringify!($key) => {
                            let key = $crate::key::join(key, stringify!($key));
                            section.$key = $crate::key::Key::read(value, &key, findings);
                            if section.$key.is_none() {
                                section.refused.push(stringify!($key));
                            }
                        } )*
                        unknown => findings.unknown(
                            &name.span(), key, unknown, &[$(stringify!($key)),*],
                        ),
                    }
                }
                section
            }
        }
    };
}
pub(crate) use section;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["metric", "margin", "at_least", "min_improvement", "alpha"];
        assert_eq!(near("metrik", &known), Some("metric"));
        assert_eq!(near("Margin", &known), Some("margin"));
        assert_eq!(near("min-improvment", &known), Some("min_improvement"));
        assert_eq!(near("colour", &known), None);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("schedlue", "schedule"), 1);
    }
}
