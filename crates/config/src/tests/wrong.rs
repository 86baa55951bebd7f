//! What is wrong is found, all of it, with its place and what to write instead.

mod retrain;

use expect_test::{Expect, expect};

use super::{parse, with};

/// The problems of `text` as `line:column message | help`, one a line.
fn check(text: &str, expected: &Expect) {
    let problems = match parse(text) {
        Ok(_) => "no problem\n".to_owned(),
        Err(problems) => problems
            .iter()
            .map(|problem| {
                let (line, column) = (problem.place().line, problem.place().column);
                format!("{line}:{column} {} | {}\n", problem.message(), problem.advice())
            })
            .collect(),
    };
    expected.assert_eq(&problems);
}

/// Each line alone in a section; the table of what comes of it.
pub(super) fn check_each(section: &str, lines: &[&str], expected: &Expect) {
    let mut table = String::new();
    for line in lines {
        let text = with(section, line);
        match parse(&text) {
            Ok(_) => table.push_str(&format!("{line}\n  no problem\n")),
            Err(problems) => {
                table.push_str(&format!("{line}\n"));
                for problem in problems.iter() {
                    let (line, column) = (problem.place().line, problem.place().column);
                    let (message, help) = (problem.message(), problem.advice());
                    table.push_str(&format!("  {line}:{column} {message} | {help}\n"));
                }
            }
        }
    }
    expected.assert_eq(&table);
}

#[test]
fn syntax_errors_point_at_their_place() {
    check(
        "[model.m\n",
        &expect![[r#"
        1:9 unclosed table, expected `]` | write `key = value`, one a line, with texts in double quotes
    "#]],
    );
    check(
        "a = \n[model.m.data]\nsource = a.csv\n",
        &expect![[r#"
        1:5 string values must be quoted, expected literal string | write `key = value`, one a line, with texts in double quotes
        3:10 string values must be quoted, expected literal string | write `key = value`, one a line, with texts in double quotes
    "#]],
    );
    check(
        "[replay]\nperiod = \"7d\"\nperiod = \"8d\"\n",
        &expect![[r#"
        3:1 duplicate key | leave one of them out
    "#]],
    );
}

#[test]
fn nothing_and_no_source_say_what_to_write() {
    check(
        "",
        &expect![[r#"
        1:1 there is no model | write a section `[model.NAME]`
    "#]],
    );
    check(
        "[model.m]\n",
        &expect![[r#"
        1:1 `data.source` is missing | write `source = "data/*.parquet"`, a file, a directory or a glob
    "#]],
    );
    check(
        "[model.m.data]\ntime = \"t\"\n",
        &expect![[r#"
        1:1 `data.source` is missing | write `source = "data/*.parquet"`, a file, a directory or a glob
    "#]],
    );
    check(
        "model = 3\n",
        &expect![[r#"
        1:9 `model` is 3 | write a section `[model.NAME]`
    "#]],
    );
    check(
        "[model]\nm = 3\n",
        &expect![[r#"
        2:5 `model.m` is 3 | write a section `[model.m]`
    "#]],
    );
}

#[test]
fn all_problems_are_reported_in_order() {
    check(
        r#"
[model.flight-delay]
task = "binery"
colour = "blue"
[model.flight-delay.data]
source = "data/*.parquet"
tiem = "event_time"
label_delay = "-2d"
exclude = ["carrier", "label"]
[model.flight-delay.retrain]
priority_min = 7
schedlue = "0 2 * * SUN"
cost = { budget = "20 hours" }
[model.flight-delay.gate]
at_least = 1.6
[model.flight-delay.rollout]
canary = [25, 5, 100]
[model."a/b/c".data]
source = "x.csv"
[slots]
cpus = 2
"#,
        &expect![[r#"
            3:8 `task` is "binery" | did you mean `binary`? it is one of `binary`, `multiclass` or `regression`
            4:1 unknown key `colour` | write one of `task`, `owner`, `tags`, `data`, `train`, `retrain`, `gate` or `rollout`
            7:1 unknown key `data.tiem` | did you mean `time`?
            8:15 `data.label_delay` is "-2d" | write a length of time such as `90d`, `24h`, `10min` or `30s`
            9:23 `data.exclude` names `label`, which is `data.label` | leave `label` out: such columns are never features
            11:16 `retrain.priority_min` is 7 | write a whole number from 1 to 5
            12:1 unknown key `retrain.schedlue` | did you mean `schedule`?
            13:19 `retrain.cost.budget` is "20 hours" | write a budget such as `20 cpu-hours per 30d`, in cpu-seconds, cpu-minutes or cpu-hours per at most 366d
            15:12 `gate.at_least` is 1.6, which auc never is | write a number from 0 to 1
            17:15 `rollout.canary` goes from 25 to 5 | write percents that rise, such as `[5, 25, 100]`
            18:8 `a/b/c` cannot name a model | write `name` or `project/name` with letters, digits, `-`, `_` and `.`, not starting with a dot, at most 128 bytes
            21:1 unknown key `slots.cpus` | did you mean `cpu`?
        "#]],
    );
}

#[test]
fn columns_have_one_role() {
    check_each(
        "data",
        &[
            "source = \"log\"",
            "source = \"gs://bucket/a.parquet\"",
            "source = \"s3://*/a.parquet\"",
            "source = \"\"",
            "source = \"a.csv\"\nlabel = \"event_time\"",
            "source = \"a.csv\"\nid = \"label\"",
            "source = \"a.csv\"\nid = \"user\"\nperson_key = \"user\"",
            "source = \"a.csv\"\nlabel_time = \"event_time\"",
            "source = \"a.csv\"\nlabel = \"y\"\nexclude = [\"a\", \"y\"]",
            "source = \"a.csv\"\nexclude = \"a\"",
            "source = \"a.csv\"\nexclude = [1, 2]",
            "source = \"a.csv\"\nwindow = \"forever\"",
            "source = \"a.csv\"\nwindow = \"auto\"",
            "source = \"a.csv\"\nwindow = { scheduled = \"90d\", trigered = \"all\" }",
            "source = \"a.csv\"\ntimezone = \"Mars\"",
            "source = \"a.csv\"\npositive = [1]",
        ],
        &expect![[r#"
            source = "log"
              2:10 `data.source` is "log", the prediction log, which this version does not keep | write a file, a directory or a glob such as `data/*.parquet`
            source = "gs://bucket/a.parquet"
              2:10 `data.source` is `gs://bucket/a.parquet`: `gs://` is not read | write a path, or `s3://BUCKET/PREFIX/*.parquet`
            source = "s3://*/a.parquet"
              2:10 `data.source` is `s3://*/a.parquet`: `*` names no bucket | a bucket's name holds letters, digits, `-` and `.` only
            source = ""
              2:10 `data.source` is "" | write a text in double quotes that is not empty
            source = "a.csv"
            label = "event_time"
              3:9 column `event_time` is both `data.time` and `data.label` | write another column for one of them
            source = "a.csv"
            id = "label"
              3:6 column `label` is both `data.label` and `data.id` | write another column for one of them
            source = "a.csv"
            id = "user"
            person_key = "user"
              no problem
            source = "a.csv"
            label_time = "event_time"
              no problem
            source = "a.csv"
            label = "y"
            exclude = ["a", "y"]
              4:17 `data.exclude` names `y`, which is `data.label` | leave `y` out: such columns are never features
            source = "a.csv"
            exclude = "a"
              3:11 `data.exclude` is "a" | write a list in square brackets
            source = "a.csv"
            exclude = [1, 2]
              3:12 `data.exclude` is 1 | write a text in double quotes that is not empty
              3:15 `data.exclude` is 2 | write a text in double quotes that is not empty
            source = "a.csv"
            window = "forever"
              3:10 `data.window` is "forever" | write `all`, a length of time such as `90d`, `half-life 90d`, `sample 50000` (at least 100), `since-last-run`, `since-change` or `auto`
            source = "a.csv"
            window = "auto"
              no problem
            source = "a.csv"
            window = { scheduled = "90d", trigered = "all" }
              3:31 unknown key `data.window.trigered` | did you mean `triggered`?
            source = "a.csv"
            timezone = "Mars"
              3:12 `data.timezone` is "Mars" | write an IANA time zone such as `Europe/Berlin` or `UTC`
            source = "a.csv"
            positive = [1]
              3:12 `data.positive` is a list | write the label's positive value, such as `1`, `true` or `"yes"`
        "#]],
    );
}

/// The same words as whoever opens the source would say, with the place where it is written.
#[test]
fn s3_is_refused_where_the_build_lacks_it() {
    let text = "[model.m]\n[model.m.data]\nsource = \"s3://bucket/a.parquet\"\n";
    let read = crate::Config::parse(text, "afresh.toml", std::path::Path::new("."));
    match afresh_data::place::check("s3://bucket/a.parquet") {
        Ok(()) => assert!(read.is_ok()),
        Err(why) => {
            let problems = read.unwrap_err();
            let told = problems.iter().next().map(|problem| problem.message().to_owned()).unwrap();
            assert!(why.contains("--features s3"), "{why}");
            assert!(told.contains("this build has no S3"), "{told}");
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of lines and what is said of them")]
fn trainers_and_their_keys_are_checked() {
    check_each(
        "train",
        &[
            "engine = \"xgboost\"",
            "engine = \"boosted_trees\"",
            "engine = \"online\"",
            "engine = \"forest\"\nearly_stopping = 5\nparams = { eta = 0.1, max_features = 3 }",
            "engine = \"linear\"\ntrees = 5\nparams = { C = 1.0, alfa = 1, l1_ratio = 2 }",
            "library = \"sytem\"",
            "trees = 10",
            "engine = \"command\"",
            "engine = \"command\"\ncommand = []",
            "command = [\"python\", \"train.py\"]",
            "engine = \"command\"\ncommand = [\"a\"]\nenv = [\"TOKEN=hunter2\", { name = \"DB\" }, 3]",
            "engine = \"command\"\ncommand = [\"a\"]\nenv = [{ name = \"A\", file = \"a\", env = \"A\" }, \"\", \"AFRESH_OUT\"]",
            "engine = \"command\"\ncommand = [\"a\"]\nformat = \"xlsx\"",
            "format = \"csv\"",
            "engine = \"constant\"\nrounds = 10",
            "params = { max_dept = 4, eta = \"fast\", objective = \"binary:logistic\" }",
            "params = { seed = 3 }",
            "params = 3",
            "rounds = 0",
            "limits = { memory = \"4 GB\", time = \"7h\" }",
            "needs = { cpu = 4, memory_gib = 64, gpu = 1 }",
            "threads = 3",
            "early_stopping = -1",
        ],
        &expect![[r#"
            engine = "xgboost"
              4:10 `train.engine` is "xgboost" | write `boosted-trees`, `forest`, `linear`, `command` or `constant`
            engine = "boosted_trees"
              4:10 `train.engine` is "boosted_trees" | did you mean `boosted-trees`? it is one of `boosted-trees`, `forest`, `linear`, `command` or `constant`
            engine = "online"
              4:10 `train.engine` is "online", which this version does not have | write `boosted-trees`, `forest`, `linear`, `command` or `constant`
            engine = "forest"
            early_stopping = 5
            params = { eta = 0.1, max_features = 3 }
              5:18 `train.early_stopping` means nothing to this engine | leave it out, or write `engine = "boosted-trees"`
              6:18 parameter `train.params.eta` is of boosting, and a forest is a mean of trees | leave it out
              6:38 parameter `train.params.max_features` is named otherwise | write `colsample_bynode`, a share of the columns
            engine = "linear"
            trees = 5
            params = { C = 1.0, alfa = 1, l1_ratio = 2 }
              5:9 `train.trees` means nothing to this engine | leave it out, or write `engine = "forest"`
              6:16 parameter `train.params.C` is named otherwise | write `alpha`, which is 1 / (C · rows)
              6:28 unknown parameter `train.params.alfa` | write `alpha` or `l1_ratio`
              6:42 parameter `train.params.l1_ratio` is 2 | write a number from 0 to 1
            library = "sytem"
              4:11 `train.library` is "sytem" | did you mean `system`? it is one of `built-in` or `system`
            trees = 10
              4:9 `train.trees` means nothing to this engine | leave it out, or write `engine = "forest"`
            engine = "command"
              4:10 `train.command` is missing | write program and arguments, such as `command = ["python", "train.py"]`
            engine = "command"
            command = []
              5:11 `train.command` is missing | write program and arguments, such as `command = ["python", "train.py"]`
            command = ["python", "train.py"]
              4:11 `train.command` means nothing to this engine | leave it out, or write `engine = "command"`
            engine = "command"
            command = ["a"]
            env = ["TOKEN=hunter2", { name = "DB" }, 3]
              6:8 `train.env` holds a value | write the name only, the value is read when the program starts
              6:25 `train.env` holds something that names no variable | write a name such as `"TOKEN"`, or `{ name = "DB", file = "secrets/db" }` with `file` or `env`
              6:42 `train.env` holds something that names no variable | write a name such as `"TOKEN"`, or `{ name = "DB", file = "secrets/db" }` with `file` or `env`
            engine = "command"
            command = ["a"]
            env = [{ name = "A", file = "a", env = "A" }, "", "AFRESH_OUT"]
              6:8 `train.env` holds something that names no variable | write a name such as `"TOKEN"`, or `{ name = "DB", file = "secrets/db" }` with `file` or `env`
              6:47 `train.env` holds an empty name | a name such as `"TOKEN"`, or `{ name = "DB", file = "secrets/db" }` with `file` or `env`
              6:51 `train.env` holds a name that begins with `AFRESH_` | those are Afresh's own
            engine = "command"
            command = ["a"]
            format = "xlsx"
              6:10 `train.format` is "xlsx" | write `parquet` or `csv`
            format = "csv"
              4:10 `train.format` means nothing to this engine | leave it out, or write `engine = "command"`
            engine = "constant"
            rounds = 10
              5:10 `train.rounds` means nothing to this engine | leave it out, or write `engine = "boosted-trees"`
            params = { max_dept = 4, eta = "fast", objective = "binary:logistic" }
              4:23 unknown parameter `train.params.max_dept` | did you mean `max_depth`?
              4:32 parameter `train.params.eta` is refused: invalid parameter `eta`: invalid type: string "fast", expected f64 | write another value, or leave it out
              4:52 parameter `train.params.objective` follows from the model's task | leave it out
            params = { seed = 3 }
              4:19 parameter `train.params.seed` is a setting of its own | write `seed` beside `params`
            params = 3
              4:10 `train.params` is 3 | write a table such as `{ name = 1 }`
            rounds = 0
              4:10 `train.rounds` is 0 | write a whole number from 1 to 1_000_000_000_000
            limits = { memory = "4 GB", time = "7h" }
              4:21 `train.limits.memory` is "4 GB" | write an amount of memory such as `512 MiB` or `4 GiB`
              4:36 `train.limits.time` is longer than the step may take, 6h | write at most `6h`, or raise `retrain.limits.train`
            needs = { cpu = 4, memory_gib = 64, gpu = 1 }
              4:17 a run needs more `cpu` than the 2 of all `[slots]` | write at most `2` for `train.needs.cpu`, or raise `slots.cpu`
              4:33 a run needs more `memory_gib` than the 8 of all `[slots]` | write at most `8` for `train.needs.memory_gib`, or raise `slots.memory_gib`
              4:43 a run needs more `gpu` than the 0 of all `[slots]` | write at most `0` for `train.needs.gpu`, or raise `slots.gpu`
            threads = 3
              4:11 a run needs more `cpu` than the 2 of all `[slots]` | write at most `2` for `train.needs.cpu`, or raise `slots.cpu`
            early_stopping = -1
              4:18 `train.early_stopping` is -1 | write a whole number that is not negative
        "#]],
    );
}

#[test]
fn gates_fit_their_metric() {
    check_each(
        "gate",
        &[
            "metric = \"rocauc\"",
            "metric = \"logloss\"",
            "metric = \"rmse\"",
            "at_least = 1.6",
            "at_least = -0.1",
            "at_least = nan",
            "metric = \"log_loss\"\nat_least = 0.5",
            "metric = \"log_loss\"\nat_most = -0.5",
            "at_most = 0.5",
            "margin = -0.1",
            "margin = 5",
            "alpha = 0",
            "alpha = 0.9",
            "slices = [\"label\", \"carrier\"]",
            "protect_slices = true",
            "rejudge = { times = 1_000 }",
            "holdout = { share_max = 20 }",
        ],
        &expect![[r#"
            metric = "rocauc"
              4:10 `gate.metric` is "rocauc" | write `auc`, `accuracy`, `log_loss`, `brier`, `f1`, `rmse`, `mae` or `r2`
            metric = "logloss"
              4:10 `gate.metric` is "logloss" | did you mean `log_loss`? it is one of `auc`, `accuracy`, `log_loss`, `brier`, `f1`, `rmse`, `mae` or `r2`
            metric = "rmse"
              4:10 `gate.metric` is "rmse", which does not fit a binary model | write `auc`, `accuracy`, `log_loss`, `brier` or `f1`
            at_least = 1.6
              4:12 `gate.at_least` is 1.6, which auc never is | write a number from 0 to 1
            at_least = -0.1
              4:12 `gate.at_least` is -0.1, which auc never is | write a number from 0 to 1
            at_least = nan
              4:12 `gate.at_least` is nan | write a number
            metric = "log_loss"
            at_least = 0.5
              5:12 `gate.at_least` is no bound of log_loss, where lower is better | write `at_most` instead
            metric = "log_loss"
            at_most = -0.5
              5:11 `gate.at_most` is -0.5, which log_loss never is | write a number from 0 on
            at_most = 0.5
              4:11 `gate.at_most` is no bound of auc, where higher is better | write `at_least` instead
            margin = -0.1
              4:10 `gate.margin` is -0.1 | write a number that is not negative
            margin = 5
              4:10 `gate.margin` is 5, more than auc can differ | write a share, such as `0.01` for one percent
            alpha = 0
              4:9 `gate.alpha` is 0 | write an error probability above 0 and up to 0.5, such as `0.05`
            alpha = 0.9
              4:9 `gate.alpha` is 0.9 | write an error probability above 0 and up to 0.5, such as `0.05`
            slices = ["label", "carrier"]
              4:11 `gate.slices` names `label`, which is not a feature | write a feature, or leave `label` out
            protect_slices = true
              4:18 `gate.protect_slices` without `gate.slices` | write `slices = ["COLUMN"]` beside it
            rejudge = { times = 1_000 }
              4:21 `gate.rejudge.times` is 1000 | write a whole number from 0 to 100
            holdout = { share_max = 20 }
              4:25 `gate.holdout.share_max` is 20 | write a number from 0 to 1
        "#]],
    );
}

#[test]
fn rollouts_rise_to_everything() {
    check_each(
        "rollout",
        &[
            "canary = [25, 5, 100]",
            "canary = [5, 5, 100]",
            "canary = [5, 25]",
            "canary = []",
            "canary = [0, 100]",
            "canary = [50, 150]",
            "probation = { at_least = \"30d\" }",
            "probation = { at_least = \"2d\", at_most = \"1d\" }",
        ],
        &expect![[r#"
            canary = [25, 5, 100]
              4:15 `rollout.canary` goes from 25 to 5 | write percents that rise, such as `[5, 25, 100]`
            canary = [5, 5, 100]
              4:14 `rollout.canary` goes from 5 to 5 | write percents that rise, such as `[5, 25, 100]`
            canary = [5, 25]
              4:14 `rollout.canary` does not end at 100 | write 100 as the last step, such as `[5, 25, 100]`
            canary = []
              4:10 `rollout.canary` does not end at 100 | write 100 as the last step, such as `[5, 25, 100]`
            canary = [0, 100]
              4:11 `rollout.canary` is 0 | write a whole number from 1 to 100
            canary = [50, 150]
              4:15 `rollout.canary` is 150 | write a whole number from 1 to 100
            probation = { at_least = "30d" }
              4:26 `rollout.probation` lasts at least 30d and at most 14d | write at least `30d` for `at_most`
            probation = { at_least = "2d", at_most = "1d" }
              4:42 `rollout.probation` lasts at least 2d and at most 1d | write at least `2d` for `at_most`
        "#]],
    );
}

#[test]
fn tasks_and_presets_fit() {
    for task in ["multiclass", "regression"] {
        let text = format!(
            "[model.m]\ntask = \"{task}\"\n[model.m.data]\nsource = \"a.csv\"\npositive = 1\n\
             [model.m.retrain]\npreset = \"classic\"\n[model.m.gate]\nmetric = \"auc\"\n"
        );
        let problems = parse(&text).unwrap_err();
        let words = problems.iter().map(|problem| problem.message().to_owned()).collect::<Vec<_>>();
        assert!(words[0].starts_with("`data.positive`"), "{words:?}");
        assert!(words[1].starts_with("`retrain.preset` is \"classic\""), "{words:?}");
        assert_eq!(words.len(), if task == "multiclass" { 2 } else { 3 }, "{words:?}");
    }
    check(
        "[replay]\nwarm_up = \"1d\"\n[model.m.data]\nsource = \"a.csv\"\n",
        &expect![[r#"
        2:11 `replay.warm_up` of 1d is shorter than one period of 7d | write at least `7d`
    "#]],
    );
    check(
        "[slots]\ngpu = -1\n[drift]\nthreshold = 3\n[model.\"a b\".data]\nsource = \"a.csv\"",
        &expect![[r#"
        2:7 `slots.gpu` is -1 | write a whole number from 0 to 1024
        4:13 `drift.threshold` is 3 | write a number from 0 to 1
        5:8 `a b` cannot name a model | write `name` or `project/name` with letters, digits, `-`, `_` and `.`, not starting with a dot, at most 128 bytes
    "#]],
    );
}

#[test]
fn a_threshold_is_chosen_or_calibrated_and_a_run_time_holds_two_periods() {
    check(
        "[drift]\nthreshold = 0.2\nexpected_run_time = \"30d\"\n[model.m.data]\nsource = \"a.csv\"",
        &expect![[r#"
            3:21 `drift.expected_run_time` calibrates a threshold, and `drift.threshold` is 0.2 | leave one of them out
        "#]],
    );
    check(
        "[drift]\nexpected_run_time = \"10d\"\n[model.m.data]\nsource = \"a.csv\"",
        &expect![[r#"
            2:21 `drift.expected_run_time` of 10d is shorter than two periods of 7d | write a longer one
        "#]],
    );
}

#[test]
fn columns_are_counted_in_characters() {
    check(
        "# Überprüfung\n[model.m.data]\nsource = \"ä.csv\"\n[replay]\n\"pérïod\" = \"7d\"",
        &expect![[r#"
        5:1 unknown key `replay.pérïod` | did you mean `period`?
    "#]],
    );
    check(
        "[model.m.data]\nsource = \"ä.csv\" ; id = 1\n",
        &expect![[r#"
        2:18 unexpected key or value, expected newline, `#` | write `key = value`, one a line, with texts in double quotes
    "#]],
    );
    check(
        "[model.m]\ndata = { source = \"ä.csv\", time = 5 }\n",
        &expect![[r#"
        2:35 `data.time` is 5 | write a text in double quotes that is not empty
    "#]],
    );
}

#[test]
fn json_names_message_help_and_place() {
    let problems = parse(&with("gate", "metrik = \"auc\"")).unwrap_err();
    let json = problems.iter().map(|problem| problem.to_json().to_string()).collect::<Vec<_>>();
    expect![[r#"{"error":{"at":{"column":1,"file":"afresh.toml","line":4},"help":"did you mean `metric`?","message":"unknown key `gate.metrik`"}}"#]].assert_eq(&json.join("\n"));
}

#[test]
fn missing_file_says_how_to_get_one() {
    let error =
        crate::Config::load(std::path::Path::new("no-such-directory/afresh.toml")).unwrap_err();
    let json = &error.to_json()[0];
    assert_eq!(json["error"]["at"]["file"], "no-such-directory/afresh.toml");
    assert!(json["error"]["help"].as_str().unwrap().contains("afresh init"), "{json}");
    assert!(json["error"]["message"].as_str().unwrap().contains("no-such-directory"), "{json}");
}

#[test]
fn problems_are_drawn_with_their_line() {
    let problems = parse(&with("gate", "margin = \"wide\"")).unwrap_err();
    let mut drawn = String::new();
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none());
    handler.render_report(&mut drawn, &problems).unwrap();
    expect![[r#"
          x one problem in `afresh.toml`

        Error: 
          x `gate.margin` is "wide"
           ,-[afresh.toml:4:10]
         3 | [model.m.gate]
         4 | margin = "wide"
           :          ^^^|^^
           :             `-- here
           `----
          help: write a number that is not negative
    "#]]
    .assert_eq(&drawn);
}
