//! A first `afresh.toml` for a data file: guesses which column is what, and says so in comments.
//!
//! It is given facts about the file and never opens it.

use afresh_core::time::{Duration, Window};
use afresh_data::schema::Task;
use afresh_ml::metrics::{self, Metric};

/// What is known about a data file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The file, as `data.source` shall name it.
    pub source: String,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
    /// Rows; 0 where unknown.
    pub rows: u64,
    /// From the first to the last event, where that is known.
    pub span: Option<Window>,
}

/// What is known about one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Its distinct values in order, where they are few enough to have been counted; else empty.
    pub values: Vec<String>,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers.
    Integer,
    /// Other numbers.
    Number,
    /// True and false.
    Boolean,
    /// Texts.
    Text,
    /// Points in time.
    Time,
}

/// Fewest periods that a history is cut into, if it is long enough.
const PERIODS_MIN: u64 = 24;
/// Periods of warm-up.
const WARM_UP_PERIODS: u64 = 4;

/// A commented configuration that can be read as it is, with a guess wherever the facts allow one.
#[must_use]
pub fn starter(facts: &Facts) -> String {
    let roles = Roles::guess(facts);
    let (task, positive) = roles.label.map_or((Task::Binary, None), task);
    let period = facts.span.map_or(Duration::days(7), period);
    let warm_up = Duration(period.0 * WARM_UP_PERIODS);
    let size = if facts.rows == 0 { String::new() } else { format!(" ({} rows)", facts.rows) };
    let mut out = String::new();
    let name = model_name(&facts.source);
    let word = task_word(task);
    out.push_str(&format!(
        "# Guessed from the columns of {}{size}.\n\
         # Read it through, then run `afresh check`. Every key that is left out has a default;\n\
         # `afresh check --schema` prints them all.\n\n\
         [model.{name}]\n\
         task = \"{word}\"  # binary, multiclass or regression\n\
         # owner = \"you@example.com\"\n\n\
         [model.{name}.data]\n\
         source = {}\n",
        facts.source.escape_debug(),
        quoted(&facts.source),
    ));
    role(&mut out, "id", roles.id, "event_id", "names a row");
    role(&mut out, "time", roles.time, "event_time", "when the event happened");
    role(&mut out, "label", roles.label, "label", "what is predicted");
    if let Some(positive) = positive {
        out.push_str(&format!("positive = {positive}  # the label's positive value\n"));
    }
    role(&mut out, "label_time", roles.label_time, "label_time", "when the label was known");
    match roles.matured_time {
        Some(matured) => {
            role(&mut out, "matured_time", Some(matured), "", "from when on the label may be used");
        }
        None if roles.label_time.is_none() => {
            out.push_str("label_delay = \"0s\"  # how long after the event the label is known\n");
        }
        None => {}
    }
    let others = others(facts, &roles);
    if !others.is_empty() {
        out.push_str(&format!("exclude = [{}]  # times are no features\n", others.join(", ")));
    }
    let metric = Metric::default_for(match task {
        Task::Binary => metrics::Task::Binary,
        Task::Multiclass => metrics::Task::Multiclass { classes: 2 },
        Task::Regression => metrics::Task::Regression,
    });
    out.push_str(&format!(
        "window = \"90d\"  # rows that a run trains on: a length, \"all\", \"auto\" …\n\n\
         [model.{name}.train]\n\
         engine = \"boosted-trees\"\n\
         # params = {{ max_depth = 6, eta = 0.1 }}  # by XGBoost's names\n\n\
         [model.{name}.retrain]\n\
         policy = \"periodic+decay\"  # every few periods, and at once on proven decay\n\
         every = \"4 periods\"\n\
         # drift = 0.3  # a run also starts at this drift score\n\n\
         [model.{name}.gate]\n\
         metric = \"{}\"\n\
         # margin = 0.005  # how much worse a candidate may be at worst\n\n\
         [replay]\n\
         period = \"{period}\"  # the step in which history is cut\n\
         warm_up = \"{warm_up}\"  # history before the first decision\n",
        metric.name(),
    ));
    out
}

/// Which column is what.
struct Roles<'a> {
    id: Option<&'a Column>,
    time: Option<&'a Column>,
    label: Option<&'a Column>,
    label_time: Option<&'a Column>,
    matured_time: Option<&'a Column>,
}

impl<'a> Roles<'a> {
    fn guess(facts: &'a Facts) -> Roles<'a> {
        let times = || facts.columns.iter().filter(|column| column.kind == Kind::Time);
        let others = || facts.columns.iter().filter(|column| column.kind != Kind::Time);
        let matured_time =
            pick(&times(), &["matured_time", "matured_at", "available_at"], &["matured"]);
        let label_time = pick(
            &times().filter(|column| Some(*column) != matured_time),
            &[
                "label_time",
                "labelled_at",
                "labeled_at",
                "outcome_time",
                "resolved_at",
                "closed_at",
            ],
            &["label", "outcome", "resolved"],
        );
        let free = |column: &&&Column| ![matured_time, label_time].contains(&Some(**column));
        let time = pick(
            &times().filter(|column| free(&column)),
            &["event_time", "timestamp", "time", "datetime", "date", "created_at", "event_date"],
            &["event", "created", "time", "date"],
        )
        .or(times().find(|column| free(&column)));
        let label = pick(
            &others(),
            &["label", "target", "y", "outcome", "class", "churn", "churned", "is_fraud", "fraud"],
            &["label", "target", "outcome"],
        )
        .or(others().rfind(|column| column.values.len() == 2))
        .or(others().next_back());
        let ids = others().filter(|column| {
            Some(*column) != label && matches!(column.kind, Kind::Integer | Kind::Text)
        });
        let named = |column: &&Column| column.name.to_lowercase().ends_with("_id");
        let id = pick(&ids, &["event_id", "id", "row_id", "uuid", "key"], &[])
            .or(ids.clone().find(|column| named(column) && column.values.is_empty()));
        Roles { id, time, label, label_time, matured_time }
    }
}

/// The column with one of `names`, the first name first, else one whose name holds one of `parts`.
fn pick<'a>(
    columns: &(impl Iterator<Item = &'a Column> + Clone),
    names: &[&str],
    parts: &[&str],
) -> Option<&'a Column> {
    let by_name = names.iter().find_map(|name| {
        columns.clone().find(|column| column.name.to_lowercase().replace([' ', '-'], "_") == **name)
    });
    by_name.or_else(|| {
        parts.iter().find_map(|part| {
            columns.clone().find(|column| column.name.to_lowercase().contains(part))
        })
    })
}

/// The task that a label suggests, and its positive value as TOML where that must be said.
fn task(label: &Column) -> (Task, Option<String>) {
    const POSITIVES: [&str; 8] = ["1", "true", "yes", "y", "t", "positive", "pos", "bad"];
    const CLASSES_MAX: usize = 20;
    match (label.kind, label.values.len()) {
        (Kind::Boolean, _) => (Task::Binary, Some("true".into())),
        (Kind::Integer | Kind::Number | Kind::Text, 2) => {
            let is_positive = |value: &&String| POSITIVES.contains(&value.to_lowercase().as_str());
            let positive = label.values.iter().find(is_positive).or(label.values.last());
            let written = positive.map(|value| {
                if value.parse::<i64>().is_ok() { value.clone() } else { quoted(value) }
            });
            (Task::Binary, written)
        }
        (Kind::Text, _) | (Kind::Integer, 3..=CLASSES_MAX) => (Task::Multiclass, None),
        (Kind::Integer | Kind::Number | Kind::Time, _) => (Task::Regression, None),
    }
}

fn task_word(task: Task) -> &'static str {
    match task {
        Task::Binary => "binary",
        Task::Multiclass => "multiclass",
        Task::Regression => "regression",
    }
}

/// Times without a role: a date is seldom a feature.
fn others(facts: &Facts, roles: &Roles<'_>) -> Vec<String> {
    let given = [roles.time, roles.label_time, roles.matured_time];
    facts
        .columns
        .iter()
        .filter(|column| column.kind == Kind::Time && !given.contains(&Some(*column)))
        .map(|column| quoted(&column.name))
        .collect()
}

fn role(out: &mut String, key: &str, column: Option<&Column>, example: &str, says: &str) {
    let line = match column {
        Some(column) => format!("{key} = {}  # {says}", quoted(&column.name)),
        None => format!("# {key} = {}  # {says}", quoted(example)),
    };
    out.push_str(&line);
    out.push('\n');
}

/// The longest usual period of which the history holds enough.
fn period(span: Window) -> Duration {
    let periods = [28, 7, 1].map(Duration::days).into_iter().chain([6, 1].map(Duration::hours));
    let fits = |period: &Duration| PERIODS_MIN <= span.length().0 / period.0;
    periods.into_iter().find(fits).unwrap_or(Duration::minutes(10))
}

/// A model's name from a file's.
fn model_name(source: &str) -> String {
    let file = source.rsplit(['/', '\\']).next().unwrap_or(source);
    let stem = file.split('.').next().unwrap_or(file);
    let letters = stem.chars().map(|letter| {
        if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' }
    });
    let name = letters.collect::<String>();
    let name = name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    if name.is_empty() { "my-model".into() } else { name.chars().take(64).collect() }
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
