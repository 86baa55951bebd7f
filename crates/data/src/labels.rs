//! Labels: which classes a column has, and which class a value is.

use std::collections::{BTreeSet, HashMap};

use crate::error::Error;
use crate::schema::{Schema, Task};

/// More classes than this mean that the task is not classification.
const CLASSES_MAX: usize = 1_000;

/// What each value of the label column means under a schema.
pub(crate) struct Labels {
    regression: bool,
    /// Values that are numbers, with their class.
    numbers: Vec<(f64, f64)>,
    /// Canonical texts, with their class.
    texts: HashMap<String, f64>,
}

/// The distinct values of a label column.
#[derive(Default)]
pub(crate) struct Seen {
    values: BTreeSet<String>,
    /// A value that is not a number, for regression.
    text: Option<String>,
}

impl Labels {
    pub(crate) fn new(schema: &Schema) -> Labels {
        let mut labels = Labels {
            regression: schema.task == Task::Regression,
            numbers: Vec::new(),
            texts: HashMap::new(),
        };
        for (class, name) in (0_u32..).map(f64::from).zip(&schema.classes) {
            if let Some(number) = number(name) {
                labels.numbers.push((number, class));
            }
            labels.texts.insert(canonical(name), class);
        }
        labels
    }

    /// The class of `value`, or the value itself in regression; NaN is "no label". `None` where
    /// there is no such class.
    #[expect(clippy::float_cmp, reason = "a class is exactly its number")]
    pub(crate) fn of_number(&self, value: f64) -> Option<f64> {
        if value.is_nan() || self.regression {
            return Some(value);
        }
        self.numbers.iter().find(|(number, _)| *number == value).map(|(_, class)| *class)
    }

    /// As [`Labels::of_number`], of a text; a missing text is "no label".
    pub(crate) fn of_text(&self, text: &str) -> Option<f64> {
        if is_missing(text) {
            return Some(f64::NAN);
        }
        if self.regression {
            return text.trim().parse().ok();
        }
        let class = self.texts.get(&canonical(text)).copied();
        class.or_else(|| number(text).and_then(|value| self.of_number(value)))
    }
}

impl Seen {
    /// Notes a value of a number column; NaN is "no label".
    pub(crate) fn number(&mut self, value: f64) {
        if !value.is_nan() && self.values.len() <= CLASSES_MAX {
            self.values.insert(written(value));
        }
    }

    /// Notes a text.
    pub(crate) fn text(&mut self, text: &str) {
        if is_missing(text) || self.values.len() > CLASSES_MAX {
            return;
        }
        if self.text.is_none() && text.trim().parse::<f64>().is_err() {
            self.text = Some(text.to_owned());
        }
        if !self.values.contains(text) {
            self.values.insert(canonical(text));
        }
    }

    /// The classes by class index: binary `[negative, positive]`, multiclass sorted (as numbers
    /// where all are), none for regression.
    pub(crate) fn classes(
        self,
        column: &str,
        task: Task,
        positive: Option<&str>,
    ) -> Result<Vec<String>, Error> {
        let wrong = |why| Err(Error::Label { column: column.to_owned(), why });
        let mut values = self.values.into_iter().collect::<Vec<_>>();
        if values.is_empty() {
            return wrong("has no value in any row: nothing can be learned yet".into());
        }
        if task == Task::Regression {
            return match self.text {
                Some(text) => wrong(format!("holds `{text}`, which is not a number")),
                None => Ok(Vec::new()),
            };
        }
        if values.iter().all(|value| number(value).is_some()) {
            let key = |value: &String| number(value).unwrap_or(f64::NAN);
            values.sort_by(|a, b| key(a).total_cmp(&key(b)));
        }
        if task == Task::Binary {
            return binary(&values, positive).or_else(wrong);
        }
        match values.len() {
            0 | 1 => wrong(format!("has one class only: {}", listed(&values))),
            count if count > CLASSES_MAX => wrong(format!(
                "has more than {CLASSES_MAX} values: write `task = \"regression\"`, or another label"
            )),
            _ => Ok(values),
        }
    }
}

/// Whether a text means "no value": empty, `NA` or `NaN`.
pub(crate) fn is_missing(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text == "NA" || text.eq_ignore_ascii_case("nan")
}

/// A number as a label names it: `1`, `2.5`.
pub(crate) fn written(value: f64) -> String {
    // Display of f64 prints whole numbers without a point; −0 is 0.
    format!("{}", value + 0.0)
}

fn binary(values: &[String], positive: Option<&str>) -> Result<Vec<String>, String> {
    if values.len() > 2 {
        return Err(format!(
            "has more than two values, {}: write `task = \"multiclass\"`, or another label",
            listed(values)
        ));
    }
    let same = |a: &str, b: &str| {
        a == b
            || (number(a).is_some() && number(a).map(f64::to_bits) == number(b).map(f64::to_bits))
    };
    let wanted = match positive.map(canonical) {
        Some(positive) => positive,
        None => match values.iter().find(|value| same(value, "1")) {
            Some(one) => one.clone(),
            None if values.iter().all(|value| same(value, "0")) => {
                if values[0] == "false" {
                    "true".into()
                } else {
                    "1".into()
                }
            }
            None => {
                return Err(format!(
                    "has the values {}: write which is meant, for example `positive = \"{}\"`",
                    listed(values),
                    values[values.len() - 1]
                ));
            }
        },
    };
    let (positive, others): (Vec<_>, Vec<_>) =
        values.iter().cloned().partition(|value| same(value, &wanted));
    match (positive.as_slice(), others.as_slice()) {
        ([positive], [negative]) => Ok(vec![negative.clone(), positive.clone()]),
        ([], [negative]) => Ok(vec![negative.clone(), wanted]),
        ([one], []) if one == "1" => Ok(vec!["0".into(), "1".into()]),
        ([one], []) if one == "true" => Ok(vec!["false".into(), "true".into()]),
        ([one], []) => Err(format!("has one class only: `{one}`")),
        _ => Err(format!(
            "never is `{wanted}`, its `positive`; it has the values {}",
            listed(values)
        )),
    }
}

/// `1`, `1.0` and `01` are one class, and so are `True` and `true`.
fn canonical(text: &str) -> String {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
        return text.to_ascii_lowercase();
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => written(value),
        _ => text.to_owned(),
    }
}

/// True and false are 1 and 0.
fn number(text: &str) -> Option<f64> {
    match text.trim() {
        text if text.eq_ignore_ascii_case("true") => Some(1.0),
        text if text.eq_ignore_ascii_case("false") => Some(0.0),
        text => text.parse().ok().filter(|value: &f64| value.is_finite()),
    }
}

/// The first five values, quoted.
fn listed(values: &[String]) -> String {
    let mut text =
        values.iter().take(5).map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    if values.len() > 5 {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(task: Task, positive: Option<&str>, values: &[&str]) -> Result<String, String> {
        let mut seen = Seen::default();
        for value in values {
            seen.text(value);
        }
        let classes = seen.classes("y", task, positive);
        classes.map(|classes| classes.join(" ")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_positive_class_comes_last() {
        for (positive, values, wanted) in [
            (None, &["1", "0"][..], "0 1"),
            (None, &["0"], "0 1"),
            (None, &["1.0", "1", "NA", ""], "0 1"),
            (None, &["True", "false"], "false true"),
            (Some("1"), &["True", "False"], "false true"),
            (Some("0"), &["1", "0"], "1 0"),
            (Some("no"), &["no", "yes"], "yes no"),
            (Some("yes"), &["no"], "no yes"),
            (None, &["1", "2"], "2 1"),
        ] {
            assert_eq!(
                classes(Task::Binary, positive, values).as_deref(),
                Ok(wanted),
                "{values:?}"
            );
        }
    }

    #[test]
    fn wrong_labels_are_told_by_their_values() {
        for (task, positive, values, part) in [
            (Task::Binary, None, &["a", "b", "c"][..], "more than two values, `a`, `b`, `c`"),
            (Task::Binary, None, &["no", "yes"], "positive = \"yes\""),
            (Task::Binary, Some("y"), &["no", "yes"], "never is `y`"),
            (Task::Binary, Some("yes"), &["yes"], "one class only: `yes`"),
            (Task::Binary, None, &["NA"], "no value in any row"),
            (Task::Multiclass, None, &["7"], "one class only: `7`"),
            (Task::Regression, None, &["1.5", "many"], "`many`, which is not a number"),
        ] {
            let error = classes(task, positive, values).unwrap_err();
            assert!(error.contains(part), "{values:?}: {error}");
        }
    }

    #[test]
    fn many_classes_sort_as_numbers_where_they_are() {
        let sorted = |values| classes(Task::Multiclass, None, values).unwrap();
        assert_eq!(sorted(&["10", "9", "-1"]), "-1 9 10");
        assert_eq!(sorted(&["10", "9", "x"]), "10 9 x");
    }

    #[test]
    fn values_find_their_class() {
        let schema =
            Schema { task: Task::Binary, features: vec![], classes: vec!["0".into(), "1".into()] };
        let labels = Labels::new(&schema);
        for (text, wanted) in
            [("1", Some(1.0)), ("0.0", Some(0.0)), ("true", Some(1.0)), ("2", None)]
        {
            assert_eq!(labels.of_text(text), wanted, "{text}");
        }
        assert!(labels.of_text("").is_some_and(f64::is_nan));
        assert_eq!((labels.of_number(1.0), labels.of_number(3.0)), (Some(1.0), None));
    }
}
