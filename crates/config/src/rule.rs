//! How a policy is written: one word, or a table with its parameters, or several policies in one.
//!
//! `"decay"`, `{ rule = "drift", score = 0.15 }`, `{ any = ["decay", { rule = "periodic", periods = 8 }] }`,
//! `{ all = [...] }`, `{ at_least = 2, of = [...] }`, `{ warm_up = 4, then = "decay" }`.

use afresh_policy::rule::{Detector, Rule};
use afresh_policy::settings::{EVERY, REST};
use serde_json::{Value as Json, json};
use toml::de::{DeTable, DeValue};

use crate::choice::{Choice as _, Kind};
use crate::key::{Key, Written, join, listed, near};
use crate::problem::{Findings, Span};
use crate::value::{Count, Finite};

/// A policy as it is written.
#[derive(Clone, Debug)]
pub(crate) enum Advising {
    /// One that the other keys of the section complete.
    Word(Kind),
    /// One that is whole.
    Rule(Rule),
}

/// A policy's name and its parameters; those without a default must be written.
struct Form {
    name: &'static str,
    parameters: &'static [&'static str],
}

const FORMS: &[Form] = &[
    Form { name: "never", parameters: &[] },
    Form { name: "always", parameters: &[] },
    Form { name: "periodic", parameters: &["periods"] },
    Form { name: "periodic+decay", parameters: &["periods", "rest"] },
    Form { name: "cara-p", parameters: &["periods", "offset"] },
    Form { name: "volume", parameters: &["rows"] },
    Form { name: "drift", parameters: &["score"] },
    Form { name: "ks", parameters: &["p"] },
    Form { name: "decay", parameters: &[] },
    Form { name: "t-test", parameters: &[] },
    Form { name: "adwin", parameters: &[] },
    Form { name: "cusum", parameters: &[] },
    Form { name: "markov", parameters: &["factor"] },
    Form { name: "economic", parameters: &["factor"] },
    Form { name: "cara-t", parameters: &["cost"] },
    Form { name: "cara-ct", parameters: &["cost"] },
    Form { name: "budget-queue", parameters: &["cpu_hours", "weight"] },
    Form { name: "upf", parameters: &["horizon"] },
    Form { name: "driftsurf", parameters: &["test", "trial"] },
];

const DETECTORS: [Detector; 4] =
    [Detector::Sequential, Detector::TTest, Detector::Adwin, Detector::Cusum];
const COMPOSED: [&str; 7] = ["rule", "any", "all", "at_least", "of", "warm_up", "then"];
const WANTED: &str =
    "a policy such as \"decay\", `{ rule = \"drift\", score = 0.3 }` or `{ any = [...] }`";

impl Key for Advising {
    fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<Advising> {
        if let DeValue::String(text) = value.get_ref()
            && let Some((_, kind)) = Kind::WORDS.iter().find(|(word, _)| word == text)
        {
            return Some(Advising::Word(*kind));
        }
        let rule = read(value, key, findings)?;
        if let Err(problem) = rule.check() {
            let (message, help) = problem.split_once(": ").unwrap_or((&problem, WANTED));
            findings.add(&value.span(), format!("`{key}`: {message}"), help);
            return None;
        }
        Some(Advising::Rule(rule))
    }

    fn schema() -> Json {
        let mut words = names();
        words.extend(Kind::WORDS.iter().map(|(word, _)| *word));
        words.sort_unstable();
        words.dedup();
        let named = FORMS.iter().map(|form| {
            let mut properties = serde_json::Map::new();
            properties.insert("rule".to_owned(), json!({ "const": form.name }));
            for parameter in form.parameters {
                let kind = if *parameter == "test" { "string" } else { "number" };
                properties.insert((*parameter).to_owned(), json!({ "type": kind }));
            }
            json!({
                "type": "object", "properties": properties, "required": ["rule"],
                "additionalProperties": false,
            })
        });
        let composed = json!({
            "type": "object",
            "properties": {
                "any": { "type": "array" }, "all": { "type": "array" },
                "at_least": { "type": "integer" }, "of": { "type": "array" },
                "warm_up": { "type": "integer" }, "then": {},
            },
            "additionalProperties": false,
        });
        let mut forms = vec![json!({ "enum": words })];
        forms.extend(named);
        forms.push(composed);
        json!({ "anyOf": forms })
    }
}

fn names() -> Vec<&'static str> {
    FORMS.iter().map(|form| form.name).collect()
}

fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<Rule> {
    let nothing = DeTable::new();
    if let DeValue::String(name) = value.get_ref() {
        return named(name, &value.span(), &nothing, key, findings);
    }
    let DeValue::Table(table) = value.get_ref() else {
        findings.refuse(value, key, WANTED);
        return None;
    };
    composed(value, table, key, findings)
}

fn composed(
    value: &Written<'_>,
    table: &DeTable<'_>,
    key: &str,
    findings: &mut Findings,
) -> Option<Rule> {
    let has = |name: &str| table.get(name);
    let forms = ["rule", "any", "all", "at_least", "warm_up"];
    let written = forms.into_iter().filter(|form| has(form).is_some()).collect::<Vec<_>>();
    let [form] = written.as_slice() else {
        match table.iter().find(|(name, _)| !COMPOSED.contains(&name.get_ref().as_ref())) {
            Some((name, _)) if written.is_empty() => {
                findings.unknown(&name.span(), key, name.get_ref(), &COMPOSED);
            }
            _ if written.is_empty() => findings.refuse(value, key, WANTED),
            _ => findings.add(
                &value.span(),
                format!("`{key}` has {} at once", listed(&written).replace(" or ", " and ")),
                "write one of them, and the others inside it",
            ),
        }
        return None;
    };
    let known: &[&str] = match *form {
        "rule" => return whole(table, key, findings),
        "at_least" => &["at_least", "of"],
        "warm_up" => &["warm_up", "then"],
        "any" => &["any"],
        _ => &["all"],
    };
    if let Some((name, _)) =
        table.iter().find(|(name, _)| !known.contains(&name.get_ref().as_ref()))
    {
        findings.unknown(&name.span(), key, name.get_ref(), known);
        return None;
    }
    let mut list = |name: &str| {
        let inner = join(key, name);
        let Some(value) = table.get(name) else {
            let help = format!("write `{name} = [...]` beside it");
            findings.add(&value.span(), format!("`{inner}` is missing"), help);
            return None;
        };
        let DeValue::Array(values) = value.get_ref() else {
            findings.refuse(value, &inner, "a list of policies in square brackets");
            return None;
        };
        let read = values.iter().map(|value| read(value, &inner, findings)).collect::<Vec<_>>();
        read.into_iter().collect::<Option<Vec<_>>>()
    };
    match *form {
        "any" => Some(Rule::Any { of: list("any")? }),
        "all" => Some(Rule::All { of: list("all")? }),
        "at_least" => {
            let of = list("of")?;
            let count =
                Asked { table, at: &value.span(), key, findings }.count("at_least", None)?;
            Some(Rule::AtLeast { count: usize::try_from(count).unwrap_or(usize::MAX), of })
        }
        _ => {
            let Some(then) = table.get("then") else {
                let help = "write the policy that follows, such as `then = \"decay\"`";
                findings.add(&value.span(), format!("`{}` is missing", join(key, "then")), help);
                return None;
            };
            let then = Box::new(read(then, &join(key, "then"), findings)?);
            let periods =
                Asked { table, at: &value.span(), key, findings }.small("warm_up", None)?;
            Some(Rule::WarmUp { periods, then })
        }
    }
}

/// `{ rule = "name", … }`
fn whole(table: &DeTable<'_>, key: &str, findings: &mut Findings) -> Option<Rule> {
    let value = table.get("rule")?;
    let DeValue::String(name) = value.get_ref() else {
        findings.refuse(value, &join(key, "rule"), &listed(&names()));
        return None;
    };
    named(name, &value.span(), table, key, findings)
}

fn named(
    name: &str,
    at: &Span,
    table: &DeTable<'_>,
    key: &str,
    findings: &mut Findings,
) -> Option<Rule> {
    let names = names();
    let Some(form) = FORMS.iter().find(|form| form.name == name) else {
        let help = match near(name, &names) {
            Some(near) => format!("did you mean `{near}`? it is one of {}", listed(&names)),
            None => format!("write {}", listed(&names)),
        };
        findings.add(at, format!("`{key}` is \"{name}\""), help);
        return None;
    };
    let known = [&["rule"], form.parameters].concat();
    for (parameter, _) in table {
        if !known.contains(&parameter.get_ref().as_ref()) {
            findings.unknown(&parameter.span(), key, parameter.get_ref(), &known);
            return None;
        }
    }
    let mut asked = Asked { table, at, key, findings };
    Some(match name {
        "never" => Rule::Never,
        "always" => Rule::Always,
        "drift" => Rule::Drift { score: asked.number("score", Some(0.3))? },
        "ks" => Rule::KolmogorovSmirnov { p: asked.number("p", Some(0.01))? },
        "markov" => Rule::Markov { factor: asked.number("factor", Some(1.0))? },
        "economic" => Rule::Economic { factor: asked.number("factor", Some(1.0))? },
        "cara-t" => Rule::CaraT { cost: asked.number("cost", None)? },
        "cara-ct" => Rule::CaraCt { cost: asked.number("cost", None)? },
        "budget-queue" => Rule::BudgetQueue {
            cpu_hours: asked.number("cpu_hours", None)?,
            weight: asked.number("weight", Some(1.0))?,
        },
        "volume" => Rule::Volume { rows: asked.count("rows", None)? },
        "driftsurf" => {
            Rule::DriftSurf { test: asked.detector()?, trial: asked.small("trial", Some(2))? }
        }
        "upf" => Rule::Upf { horizon: asked.small("horizon", Some(EVERY))? },
        "cara-p" => {
            Rule::Phase { periods: asked.small("periods", Some(EVERY))?, offset: asked.offset()? }
        }
        "periodic" => Rule::Every { periods: asked.small("periods", Some(EVERY))? },
        "periodic+decay" => Rule::periodic_decay(
            asked.small("periods", Some(EVERY))?,
            asked.small("rest", Some(REST))?,
        ),
        // What remains are the detectors.
        other => Rule::Decay { test: *DETECTORS.iter().find(|test| test.name() == other)? },
    })
}

/// A policy's parameters as they stand in its table.
struct Asked<'a, 'd> {
    table: &'a DeTable<'d>,
    /// Where the policy's name stands.
    at: &'a Span,
    key: &'a str,
    findings: &'a mut Findings,
}

impl Asked<'_, '_> {
    fn number(&mut self, name: &str, default: Option<f64>) -> Option<f64> {
        match self.table.get(name) {
            Some(value) => Finite::read(value, &join(self.key, name), self.findings).map(|n| n.0),
            None => default.or_else(|| self.missing(name)),
        }
    }

    /// At least 1.
    fn count(&mut self, name: &str, default: Option<u64>) -> Option<u64> {
        match self.table.get(name) {
            Some(value) => Count::read(value, &join(self.key, name), self.findings).map(|n| n.0),
            None => default.or_else(|| self.missing(name)),
        }
    }

    fn small(&mut self, name: &str, default: Option<u32>) -> Option<u32> {
        let count = self.count(name, default.map(u64::from))?;
        Some(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// From 0 on.
    fn offset(&mut self) -> Option<u32> {
        let Some(value) = self.table.get("offset") else { return Some(0) };
        let offset = u64::read(value, &join(self.key, "offset"), self.findings)?;
        Some(u32::try_from(offset).unwrap_or(u32::MAX))
    }

    fn detector(&mut self) -> Option<Detector> {
        let Some(value) = self.table.get("test") else { return Some(Detector::Sequential) };
        let text = value.get_ref().as_str();
        let found = DETECTORS.into_iter().find(|test| Some(test.name()) == text);
        if found.is_none() {
            let key = join(self.key, "test");
            self.findings.refuse(value, &key, &listed(&DETECTORS.map(Detector::name)));
        }
        found
    }

    fn missing<T>(&mut self, name: &str) -> Option<T> {
        let message = format!("`{}` is missing", join(self.key, name));
        let help = format!("write `{name} = …` beside `rule`; a backtest finds its value");
        self.findings.add(self.at, message, help);
        None
    }
}
