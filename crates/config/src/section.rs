//! Every key of `afresh.toml`, with its documentation and default: one list for the reader, the near
//! names and the JSON Schema. Where defaults differ, they are those of the recommended preset for a
//! binary task.

use std::collections::BTreeMap;

use afresh_core::blackout::Zone;
use afresh_core::fleet::Budget;
use afresh_core::gate::Proof;
use afresh_core::policy::CatchUp;
use afresh_core::signal::Priority;
use afresh_core::time::Duration;
use afresh_data::schema::Task;
use afresh_ml::metrics::Metric;
use afresh_train::recipe::{Categories, Library, RowFormat, Variable};
use toml::de::DeValue;

use crate::choice::{EngineName, OneOf};
use crate::config::{DecayTest, Preset, TrainingWindow};
use crate::key::{Key, Placed, Written, join, section};
use crate::problem::Findings;
use crate::rule::Advising;
use crate::value::{
    Alpha, Count, Date, Days, Devices, Every, Few, Finite, Label, Length, Memory, Moment,
    NotNegative, OrOff, Parameter, Percent, Share, Tagged, Truth, Word,
};

section! {
    /// The configuration of Afresh: models, and what they share.
    Root {
        /// Models under management, by name; a name with a project is quoted: `[model."shop/churn"]`.
        model: Models,
        /// How history is cut and played.
        replay: Replay,
        /// What may run at once, all models together.
        slots: Slots,
        /// When drift is reported.
        drift: DriftReport,
        /// When decay is reported.
        decay: DecayReport,
        /// Where Afresh keeps its own files.
        state: State,
    }
}

section! {
    /// A model under management.
    Model {
        /// What is predicted.
        task: OneOf<Task> = "binary",
        /// Whom to tell.
        owner: Word,
        /// Words by which listings can be narrowed.
        tags: Vec<Word> = [],
        /// Where the rows are and what their columns mean.
        data: Source,
        /// How the model is trained.
        train: Train,
        /// When it is retrained.
        retrain: Retrain,
        /// What a candidate must pass.
        gate: Gate,
        /// How a passed candidate comes to serve, and how it is watched.
        rollout: Rollout,
    }
}

section! {
    /// Where the rows are and what their columns mean. Id, time and label columns are never features.
    Source {
        /// A Parquet or CSV file, a directory, a glob, or dated paths such as
        /// `{from:%Y%m%d}_{to:%Y%m%d}.csv`; relative paths start at the configuration's directory.
        source: Word,
        /// Column that names a row; without it a row is known by its file and place.
        id: String = "",
        /// Column of the event time.
        time: Word = "event_time",
        /// Column of the label.
        label: Word = "label",
        /// The label's positive value in a binary task; where left out, `1` or `true`.
        positive: Label,
        /// Column that says when the label became known.
        label_time: String = "",
        /// Column that, where given, alone decides when a label may be used.
        matured_time: String = "",
        /// Time from event to label where there is no label time.
        label_delay: Duration = "0s",
        /// Column of row weights.
        weight: String = "",
        /// Column of the entity that a row is about; never a feature.
        entity: String = "",
        /// Column of the person that a row is about; never a feature.
        person_key: String = "",
        /// Columns that are not features.
        exclude: Vec<Placed<Word>> = [],
        /// Rows that a run trains on: `all`, a length such as `90d`, `half-life 90d` (all, the newest counting most), `sample 50000`
        /// (so many of all), `since-last-run`, `since-change`, or `auto`, which at each training chooses among all, `half-life` and a length of
        /// twelve periods of `[replay]`; or one for each
        /// strategy.
        window: Window = "90d",
        /// The zone of times that name none.
        timezone: Zone = "UTC",
    }
}

section! {
    /// One training window for each strategy.
    Windows {
        /// Of scheduled runs and of the first version.
        scheduled: TrainingWindow,
        /// Of triggered runs.
        triggered: TrainingWindow,
        /// Of online learning.
        online: TrainingWindow,
        /// Of runs after labels that were asked for.
        active: TrainingWindow,
        /// Of runs that continue the champion.
        incremental: TrainingWindow,
        /// Of every strategy that is not written.
        other: TrainingWindow,
    }
}

section! {
    /// How the model is trained.
    Train {
        /// What trains: boosted trees, a forest, a linear model, a program of yours, or a constant to compare with.
        engine: OneOf<EngineName> = "boosted-trees",
        /// Settings of the engine; for boosted trees and forests by XGBoost's names.
        params: BTreeMap<String, Placed<Parameter>> = {},
        /// What trains boosted trees; `system` is XGBoost itself: the library that `XGBOOST_LIB` names, else the one
        /// inside Python's `xgboost`.
        library: OneOf<Library> = "built-in",
        /// Trees of a forest; 100 where nothing is written.
        trees: Count,
        /// Boosting rounds at most.
        rounds: Count = 200,
        /// Rounds without gain on the early-stopping rows before training ends; 0 never ends early.
        early_stopping: u64 = 20,
        /// How categories become numbers.
        categories: OneOf<Categories> = "codes",
        /// Whether a passed candidate's recipe is trained again on the holdout rows too.
        refit: Truth = true,
        /// Seed of everything random.
        seed: u64 = 0,
        /// Threads of a training; the model is the same for any number.
        threads: Count = 1,
        /// Your trainer: program and arguments; only with engine `command`.
        command: Vec<Word>,
        /// Your scorer, where Afresh cannot score the model's format itself.
        predict: Vec<Word>,
        /// Environment variables that your programs are given, by name: `"TOKEN"`,
        /// `{ name = "DB", env = "PRODUCTION_DB" }`, or `{ name = "DB", file = "secrets/db" }`.
        env: Vec<Placed<Variable>> = [],
        /// What rows are handed to your programs as: Parquet where nothing is written.
        format: OneOf<RowFormat>,
        /// What bounds one training.
        limits: TrainLimits,
        /// What one training occupies.
        needs: Needs,
        /// Rows kept apart to end the training in time.
        stopping: Part,
    }
}

section! {
    /// What bounds one training.
    TrainLimits {
        /// Memory of all its processes together, such as `4 GiB`; where left out, that of the slots.
        memory: Memory,
        /// Time on the clock; where left out, a little less than `retrain.limits.train`, so that the cost
        /// of a training that is ended is known.
        time: Length,
        /// Processes of your programs at once.
        processes: Count = 256,
        /// Time on the clock for one scoring by `predict`; 10min where nothing is written.
        predict_time: Length,
    }
}

section! {
    /// What one training occupies of the slots.
    Needs {
        /// Cores; where left out, as many as threads.
        cpu: NotNegative = 1,
        /// Memory in GiB.
        memory_gib: NotNegative = 1,
        /// Graphics processors.
        gpu: Devices = 0,
    }
}

section! {
    /// How many of the newest available rows a part of the split takes.
    Part {
        /// Rows made available in this last stretch; where left out, one period of the replay.
        length: Length,
        /// At least so many rows.
        rows_min: u64 = 2000,
        /// But never more than this share of the rows.
        share_max: Share = 0.2,
    }
}

section! {
    /// When the model is retrained.
    Retrain {
        /// Whose constants fill what is not written.
        preset: OneOf<Preset> = "recommended",
        /// The policy that advises: a word such as `"decay"`, a table with its parameters such as `{ rule = "drift",
        /// score = 0.15 }`, or several in one: `{ any = [...] }`, `{ all = [...] }`, `{ at_least = 2, of = [...] }`,
        /// `{ warm_up = 4, then = "decay" }`.
        policy: Advising = "periodic+decay",
        /// Periods between retrainings for a periodic policy, such as `"4 periods"`; or a length such as
        /// `"7d"`, which is a schedule of that step.
        every: Every = "4 periods",
        /// Newly available rows that a retraining is worth at least, for the policy that advises.
        rows_min: u64 = 500,
        /// A cron pattern of five fields: minute, hour, day of month, month, day of week.
        schedule: OrOff<Word> = false,
        /// Nothing is scheduled before.
        start: Date,
        /// The zone in which schedule, start and blackouts are read; where left out, that of the data.
        timezone: Zone,
        /// What becomes of missed scheduled times.
        catch_up: OneOf<CatchUp> = "skip",
        /// Scheduled times are moved later by up to this, always the same for one model and time.
        jitter: Duration = "0s",
        /// Whether a failed scheduled run holds the next.
        depends_on_past: Truth = false,
        /// Drift score at which a run starts; `false`: drift only alerts.
        drift: OrOff<Share> = false,
        /// Decay at which a run starts: a drop of the metric, or the alarm of the sequential test; and how decay
        /// is watched.
        decay: OrOff<Decay> = false,
        /// Available rows since the champion's cut at which a run starts.
        volume: Count,
        /// Delivered labels at which a run starts.
        labels: Count,
        /// Rows of arrived data at which a run starts.
        data: Count,
        /// Shortest time between the end of a run and the start of the next.
        cooldown: Duration = "24h",
        /// Signals below this urgency are refused.
        priority_min: Priority = 1,
        /// Times at which no run starts and no rollout begins.
        blackout: Vec<Blackout> = [],
        /// Repetitions of a failed step.
        retries: Few = 2,
        /// Pause before each repetition.
        retry_delay: Duration = "10min",
        /// Longest time of each step.
        limits: StepLimits,
        /// Whether a person must agree before a rollout.
        approval: Truth = false,
        /// Whether runs continue the champion; full where it cannot.
        incremental: Truth = false,
        /// New rounds of a run that continues the champion.
        incremental_rounds: Count = 50,
        /// Trees of a continued champion past which a full retraining is due.
        max_trees: Count = 2000,
        /// What loss and training cost.
        cost: Cost,
    }
}

section! {
    /// When decay starts a run, by `drop` or `sequential`, and how it is watched. Without either of the two decay only
    /// alerts, or starts runs as the preset says.
    DecayRule {
        /// The drop of a metric, in its own unit; of `rmse` and `mae` as a share of the baseline. By the sequential
        /// test it must be proven.
        drop: NotNegative,
        /// Whether the alarm of the sequential test on the task's loss decides, however large the drop.
        sequential: Truth,
        /// Stretches of time that metrics are averaged over; where left out, `24h` and one period of the replay.
        windows: Vec<Placed<Tagged>>,
        /// Width of a value of a window, which holds at least 30 rows; where left out, a 24th of the window.
        bucket: Length,
        /// What is watched; where left out, the metric of the gate, and log loss or `rmse`.
        metrics: Vec<Placed<OneOf<Metric>>>,
        /// How decay is tested: sequentially, which may be looked at at any time, or by t-test of the values.
        test: OneOf<DecayTest> = "sequential",
    }
}

section! {
    /// A time at which no run starts and no rollout begins: two dates, or days and times of day.
    Blackout {
        /// First point inside: a date, or a time of day beside `days`.
        from: Moment,
        /// First point after: a date, or a time of day up to `24:00`.
        to: Moment,
        /// Days of the week, such as `MON-FRI`; makes the blackout weekly.
        days: Days,
        /// The zone in which it is read; where left out, that of `retrain`.
        timezone: Zone,
    }
}

section! {
    /// Longest time of each step of a run.
    StepLimits {
        /// Reading rows and writing the dataset.
        prepare: Length = "1h",
        /// Training or refitting.
        train: Length = "6h",
        /// Comparing candidate and champion.
        judge: Length = "1h",
        /// Until the serving side confirms a deployment.
        deploy: Length = "10min",
    }
}

section! {
    /// What loss and training cost, in your unit.
    Cost {
        /// Of one unit of loss on one row.
        per_loss: NotNegative = 1.0,
        /// Of one wrong answer, instead of `per_loss`.
        per_error: NotNegative,
        /// Of a CPU hour of training.
        per_cpu_hour: NotNegative,
        /// Of an hour of each GPU that a run has by `train.needs.gpu`.
        per_gpu_hour: NotNegative,
        /// Of a million rows that a retraining trains on.
        per_million_rows: NotNegative,
        /// Of one retraining; where left out, 0.2 % of the loss of a constant guess over a median period.
        per_run: NotNegative,
        /// CPU time allowed in a rolling length, such as `20 cpu-hours per 30d`.
        budget: Budget,
        /// What one training is expected to take, in CPU seconds.
        estimate_cpu_seconds: NotNegative = 0.0,
    }
}

section! {
    /// What a candidate must pass.
    Gate {
        /// The metric that decides.
        metric: OneOf<Metric> = "auc",
        /// Where higher is better: the candidate's metric must reach this.
        at_least: OrOff<Finite> = false,
        /// Where lower is better: the candidate's metric must not exceed this.
        at_most: OrOff<Finite> = false,
        /// The candidate must be better by this, in the metric's unit.
        min_improvement: NotNegative = 0.0,
        /// How much worse the candidate may be at worst, in the metric's unit.
        margin: NotNegative = 0.005,
        /// Whether confidence bounds decide, or the measured difference alone.
        proof: OneOf<Proof> = "confidence",
        /// Error probability of one gate over all its judgements, one-sided.
        alpha: Alpha = 0.05,
        /// Features by whose values the holdout is cut for a closer look.
        slices: Vec<Placed<Word>> = [],
        /// Whether a harmed slice rejects the candidate.
        protect_slices: Truth = false,
        /// Highest share of rows that were right and turn wrong; not checked where left out.
        negative_flips_max: Share,
        /// How an inconclusive candidate is judged again.
        rejudge: Rejudge,
        /// Rows that judge and that no trainer sees.
        holdout: Part,
        /// With fewer rows to judge by, or to train on, there is no split.
        rows_min: Count = 100,
    }
}

section! {
    /// How an inconclusive candidate is judged again.
    Rejudge {
        /// Pause before each further judgement; where left out, one period of the replay.
        every: Length,
        /// Further judgements at most.
        times: Few = 3,
    }
}

section! {
    /// How a passed candidate comes to serve, and how it is watched.
    Rollout {
        /// Shares of the traffic in percent, rising to 100.
        canary: Vec<Placed<Percent>> = [100],
        /// How long each step but the last lasts.
        hold: Duration = "1h",
        /// How the new version is watched once it serves everything.
        probation: Probation,
    }
}

section! {
    /// How a new version is watched once it serves everything.
    Probation {
        /// Shortest watch.
        at_least: Duration = "24h",
        /// Available labels that it needs.
        labels: u64 = 500,
        /// Longest watch; then it ends unproven.
        at_most: Length = "14d",
        /// Error probability of an automatic rollback.
        alpha: Alpha = 0.05,
        /// Highest share of failed predictions.
        error_rate_max: Share = 0.01,
    }
}

section! {
    /// How history is cut and played.
    Replay {
        /// The step in which history is cut and reported.
        period: Length = "7d",
        /// History before the first decision; the first version trains on it.
        warm_up: Length = "28d",
        /// In a backtest, how long it takes from the end of a training until its version serves.
        deployment: Duration = "0s",
    }
}

section! {
    /// What may run at once, all models together.
    Slots {
        /// Cores.
        cpu: NotNegative = 2,
        /// Memory in GiB.
        memory_gib: NotNegative = 8,
        /// Graphics processors.
        gpu: Devices = 0,
        /// CPU time allowed in a rolling length, all models together.
        budget: Budget,
        /// Waiting this long raises a run by one level of priority.
        ageing: Length = "6h",
    }
}

section! {
    /// When drift is reported; whether it starts a run is `retrain.drift`.
    DriftReport {
        /// The drift score from which it is called drift. Where left out it is calibrated: a champion's
        /// own rows, period against those before, reach it about once in `expected_run_time`; 0.3
        /// where they are too few periods.
        threshold: Share,
        /// How long a quiet model runs between two alarms; for a threshold that is calibrated.
        expected_run_time: Length = "90d",
    }
}

section! {
    /// When decay is reported; whether it starts a run is `retrain.decay`.
    DecayReport {
        /// The drop of the metric, in its own unit, from which it is called decay.
        threshold: NotNegative = 0.05,
    }
}

section! {
    /// Where Afresh keeps its own files; relative paths start at the configuration's directory.
    State {
        /// Log, datasets, versions.
        directory: Word = ".afresh",
        /// Where datasets and versions are kept instead: `s3://BUCKET/PREFIX`.
        artifacts: Word,
        /// The pointer to what serves.
        production: Word = "production",
    }
}

/// Models by name. Messages name their keys without the model, which the place tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Models(pub(crate) BTreeMap<String, Model>);

/// One window, or one for each strategy.
#[derive(Clone, Debug)]
pub(crate) enum Window {
    One(TrainingWindow),
    Each(Box<Windows>),
}

/// A drop, or a rule in a table.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for a model")]
pub(crate) enum Decay {
    Drop(f64),
    Rule(DecayRule),
}

impl Key for Models {
    fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<Models> {
        let DeValue::Table(table) = value.get_ref() else {
            findings.refuse(value, key, "a section `[model.NAME]`");
            return None;
        };
        let mut models = BTreeMap::new();
        for (name, value) in table {
            if let DeValue::Table(table) = value.get_ref() {
                let model = Model::read_table(table, value.span(), "", findings);
                models.insert(name.get_ref().to_string(), model);
            } else {
                let name = join(key, name.get_ref());
                findings.refuse(value, &name, &format!("a section `[{name}]`"));
            }
        }
        Some(Models(models))
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "object", "additionalProperties": Model::schema() })
    }
}

impl Key for Window {
    fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<Window> {
        if value.get_ref().is_table() {
            return Windows::read(value, key, findings).map(|each| Window::Each(Box::new(each)));
        }
        TrainingWindow::read(value, key, findings).map(Window::One)
    }

    fn schema() -> serde_json::Value {
        let one = <TrainingWindow as Key>::schema();
        serde_json::json!({ "anyOf": [one, Windows::schema()] })
    }
}

impl Key for Decay {
    fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<Decay> {
        if value.get_ref().is_table() {
            return DecayRule::read(value, key, findings).map(Decay::Rule);
        }
        NotNegative::read(value, key, findings).map(|drop| Decay::Drop(drop.0))
    }

    fn schema() -> serde_json::Value {
        let number = <NotNegative as Key>::schema();
        serde_json::json!({ "anyOf": [number, DecayRule::schema()] })
    }
}
