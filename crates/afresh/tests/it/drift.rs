//! `afresh drift REF CUR`: two tables without any configuration, and everything that can be wrong
//! with them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::project::{NOW, Project, ROWS, rows};

/// `x` shifted, `plan` from a list of names in turn, and what does not change.
fn table(rows: usize, shift: f64, plans: &[&str]) -> String {
    let mut text = "when,x,plan,flag,steady\n".to_owned();
    for row in 0..rows {
        let x = f64::from(u32::try_from(row * 7_919 % 1_000).unwrap()) / 100.0 + shift;
        let (plan, flag) = (plans[row % plans.len()], row % 2 == 0);
        let day = 1 + row % 28;
        writeln!(text, "2026-05-{day:02},{x},{plan},{flag},{}", row % 7).unwrap();
    }
    text
}

/// Two tables of which the second moved: `x` by half its range, a plan is new.
fn moved() -> Project {
    let project = Project::new();
    project.write("may.csv", &table(2_000, 0.0, &["free", "basic"]));
    project.write("june.csv", &table(1_500, 5.0, &["free", "basic", "<pro>"]));
    project
}

fn column<'a>(found: &'a Value, name: &str) -> &'a Value {
    found["columns"].as_array().unwrap().iter().find(|column| column["name"] == name).unwrap()
}

#[test]
fn two_tables_are_compared_without_a_configuration() {
    let project = moved();
    std::fs::remove_file(project.path("afresh.toml")).unwrap();
    let found = project.json(&["drift", "may.csv", "june.csv"]);
    assert_eq!(
        (&found["rows"]["reference"], &found["rows"]["current"]),
        (&2_000.into(), &1_500.into())
    );
    assert_eq!(found["threshold_source"]["kind"], "fixed");
    assert_eq!(found["route"]["kind"], "exact");
    let x = column(&found, "x");
    assert_eq!((&x["kind"], &x["drifted"]), (&"numeric".into(), &true.into()));
    assert!((x["score"].as_f64().unwrap() - 0.5).abs() < 0.01, "{x}");
    assert_eq!(column(&found, "flag")["score"], 0.0);
    assert_eq!(column(&found, "plan")["new_categories"][0]["name"], "<pro>");
    // The column that moved most comes first, and tells the tables apart.
    assert_eq!(found["columns"][0]["name"], "x");
    assert!(found["domain_classifier"]["auc"].as_f64().unwrap() > 0.8, "{found}");
    let notes = found["notes"].to_string();
    assert!(notes.contains("`when`") && notes.contains("times"), "{notes}");

    let said = project.good(&["drift", "may.csv", "june.csv"]);
    assert!(said.starts_with("no drift: score 0."), "{said}");
    assert!(said.contains("The threshold is the fixed 0.3"), "{said}");
    assert!(said.contains("plan: new: <pro> (33.3 %)"), "{said}");
}

#[test]
fn the_exit_code_tells_of_drift_where_asked() {
    let project = moved();
    let drift = ["drift", "may.csv", "june.csv", "--columns", "x"];
    assert!(project.good(&drift).starts_with("drifted: score 0.5"), "{}", project.good(&drift));
    assert_eq!(project.run(&[&drift[..], &["--fail-on-drift"]].concat()).code, 1);
    let quiet = ["drift", "may.csv", "june.csv", "--threshold", "0.9", "--fail-on-drift"];
    assert_eq!(project.run(&quiet).code, 0);
    let same = ["drift", "may.csv", "may.csv", "--fail-on-drift"];
    assert!(project.good(&same).starts_with("no drift: score 0.000"));
}

#[test]
fn importance_ranks_and_weighs() {
    let project = moved();
    let drift = ["drift", "may.csv", "june.csv", "--importance"];
    let found = project.json(&[&drift[..], &["plan=3,steady=1"]].concat());
    assert_eq!(found["columns"][0]["name"], "plan");
    assert_eq!(column(&found, "x")["importance"], 0.0);
    project.write("weights.json", "{\"x\": 1}");
    let found = project.json(&[&drift[..], &["weights.json"]].concat());
    assert_eq!(found["score"], column(&found, "x")["score"]);
    project.bad(&[&drift[..], &["nothing=1"]].concat(), 2, "`nothing`");
    project.bad(&[&drift[..], &["gone.json"]].concat(), 1, "gone.json");
}

#[test]
fn sketches_agree_with_exact_measures_within_what_they_state() {
    let project = moved();
    let exact = project.json(&["drift", "may.csv", "june.csv"]);
    let sketched = project.json(&["drift", "may.csv", "june.csv", "--memory", "1MiB"]);
    assert_eq!(sketched["route"]["kind"], "sketched");
    let error = sketched["route"]["rank_error"].as_f64().unwrap();
    for column_exact in exact["columns"].as_array().unwrap() {
        let name = column_exact["name"].as_str().unwrap();
        let score = |column: &Value| column["score"].as_f64().unwrap();
        let apart = (score(column_exact) - score(column(&sketched, name))).abs();
        assert!(apart <= 2.0 * error + 1e-12, "{name}: {apart}, stated {error}");
    }
}

#[test]
fn the_page_is_whole_and_offline() {
    let project = moved();
    let options = ["--html", "drift.html", "--slices", "plan"];
    let said = project.good(&[&["drift", "may.csv", "june.csv"][..], &options].concat());
    assert!(
        said.contains("page: drift.html") && said.contains("slices that moved most:"),
        "{said}"
    );
    let page = std::fs::read_to_string(project.path("drift.html")).unwrap();
    assert!(page.ends_with("</html>") && page.contains("june.csv against may.csv"));
    assert!(page.contains("&lt;pro&gt;") && !page.contains("<pro>"));
    // After the chart library nothing refers to anywhere.
    let own = page.split_once("</script>").unwrap().1;
    assert!(!own.contains("http:") && !own.contains("https:") && !own.contains("src="));
    project.bad(
        &["drift", "may.csv", "june.csv", "--html", "gone/drift.html"],
        1,
        "gone/drift.html",
    );
}

#[test]
fn a_champion_weighs_the_columns_and_tells_how_its_predictions_moved() {
    let project = Project::new();
    project.configure("train.engine = \"boosted-trees\"\ntrain.rounds = 10");
    project.good(&["retrain", "--now", NOW]);
    let later = rows(0..ROWS).replace(".5,free", "9.5,free");
    project.write("later.csv", &later);
    let found =
        project.json(&["drift", "rows.csv", "later.csv", "--model", "churn", "--slices", "plan"]);
    let names = found["columns"].as_array().unwrap().iter().map(|column| column["name"].clone());
    let mut names = names.collect::<Vec<_>>();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["amount", "plan"], "features alone");
    let shift = &found["predictions"];
    let moved = |name: &str| {
        let columns = shift["columns"].as_array().unwrap();
        columns.iter().find(|of| of["name"] == name).unwrap()["change"].as_f64().unwrap()
    };
    assert!(moved("amount").abs() > moved("plan").abs(), "{shift}");
    assert!(moved("plan").abs() < 0.05, "{shift}");
    assert_eq!(found["slices"][0]["value"], "free", "{}", found["slices"]);
    let said = project.good(&["drift", "rows.csv", "later.csv", "--model", "churn"]);
    assert!(said.contains("predictions of v2 of churn: mean probability of 1"), "{said}");
    // A model's newest period is told the same way.
    let live = project.json(&["drift", "--now", NOW]);
    assert_eq!(live["predictions"]["output"], "probability of 1");
    assert!(project.good(&["drift", "--now", NOW]).contains("predictions of v2: mean"));
    project.bad(&["drift", "rows.csv", "later.csv", "--model", "nobody"], 2, "`nobody`");
}

#[test]
fn tables_that_cannot_be_compared_are_named() {
    let project = moved();
    project.write("text.csv", &table(50, 0.0, &["a"]).replace(",0,", ",zero,"));
    project.write("retyped.csv", "x,plan\nmany,a\n");
    project.write("other.csv", "y\n1\n");
    project.write("empty.csv", "when,x,plan,flag,steady\n");
    project.write("infinite.csv", "x\n1\ninf\n");
    project.write("not.parquet", "PAR1 and then nothing");
    project.write("notes.txt", "x\n1\n");
    for (reference, current, culprit) in [
        (
            "may.csv",
            "retyped.csv",
            "column `x` holds numbers in `may.csv` and categories in `retyped.csv`",
        ),
        ("may.csv", "other.csv", "no column in common"),
        ("may.csv", "empty.csv", "`empty.csv` has no rows"),
        ("empty.csv", "may.csv", "`empty.csv` has no rows"),
        ("may.csv", "gone.csv", "`gone.csv` does not exist"),
        ("may.csv", "not.parquet", "`not.parquet` is not sound Parquet"),
        ("may.csv", "notes.txt", "`notes.txt` is neither .parquet nor .csv"),
        ("may.csv", "*.tsv", "no file matches `*.tsv`"),
        ("infinite.csv", "may.csv", "column `x` is infinite in row 2 (line 3) of `infinite.csv`"),
        ("may.csv", "infinite.csv", "column `x` is infinite in row 2 (line 3) of `infinite.csv`"),
    ] {
        project.bad(&["drift", reference, current], 1, culprit);
    }
    let named = ["drift", "may.csv", "june.csv", "--columns"];
    project.bad(&[&named[..], &["plam"]].concat(), 1, "did you mean `plan`");
    project.bad(&[&named[..], &["when"]].concat(), 1, "column `when` holds times");
    project.bad(&["drift", "may.csv", "june.csv", "--slices", "when"], 2, "`when`");
    project.bad(&["drift", "may.csv", "june.csv", "--memory", "much"], 2, "512MiB");
    project.bad(&["drift", "may.csv", "june.csv", "--threshold", "2"], 2, "between 0 and 1");
    project.bad(
        &["drift", "may.csv"],
        2,
        "`may.csv` is a file: write what it is compared with too",
    );
    project.bad(&["drift", "--memory", "1GiB"], 2, "`--memory` belongs to two tables");
}

#[test]
fn a_column_on_one_side_is_told_and_left_out() {
    let project = Project::new();
    project.write("a.csv", "x,old\n1,1\n2,1\n");
    project.write("b.csv", "x,new\n1,1\n2,1\n");
    let found = project.json(&["drift", "a.csv", "b.csv"]);
    assert_eq!(found["columns"].as_array().unwrap().len(), 1);
    let notes = found["notes"].to_string();
    assert!(notes.contains("column `old` is left out: only `a.csv` has it"), "{notes}");
    assert!(notes.contains("column `new` is left out: only `b.csv` has it"), "{notes}");
}

#[test]
fn one_value_and_no_value_are_distributions_like_others() {
    let project = Project::new();
    project.write("a.csv", "one,gone,none\n5,1,\n5,2,\n5,3,\n");
    project.write("b.csv", "one,gone,none\n5,,\n5,NA,\n5,,\n");
    let found = project.json(&["drift", "a.csv", "b.csv", "--html", "page.html"]);
    assert_eq!(column(&found, "one")["score"], 0.0);
    assert_eq!(column(&found, "gone")["score"], 1.0);
    assert_eq!(column(&found, "gone")["missing"]["current"], 1.0);
    assert_eq!(column(&found, "none")["score"], 0.0);
    let page = std::fs::read_to_string(project.path("page.html")).unwrap();
    let own = page.rsplit("</style>").next().unwrap();
    assert!(!own.contains(">NaN") && page.ends_with("</html>"));
}

#[test]
fn identifiers_are_left_out_and_refused_where_named() {
    let project = Project::new();
    let ids = |first: usize| {
        (first..first + 3_000)
            .fold("id,x\n".to_owned(), |text, row| text + &format!("u{row},{}\n", row % 5))
    };
    project.write("a.csv", &ids(0));
    project.write("b.csv", &ids(3_000));
    for memory in ["1GiB", "1MiB"] {
        let found = project.json(&["drift", "a.csv", "b.csv", "--memory", memory]);
        assert_eq!(found["columns"].as_array().unwrap().len(), 1, "{memory}");
        assert!(
            found["notes"].to_string().contains("column `id` is left out"),
            "{memory}: {found}"
        );
        let named = ["drift", "a.csv", "b.csv", "--columns", "id", "--memory", memory];
        project.bad(&named, 1, "tells rows apart");
    }
    // More categories than a dictionary may hold.
    let many = |first: usize| {
        (0..210_000).fold("id,x\n".to_owned(), |mut text, row| {
            writeln!(text, "u{},{}", first + row % 105_000, row % 5).unwrap();
            text
        })
    };
    project.write("a.csv", &many(0));
    project.write("b.csv", &many(7));
    let found = project.json(&["drift", "a.csv", "b.csv"]);
    assert!(found["notes"].to_string().contains("column `id` is left out"), "{found}");
}

/// Some months of days from `first` on, a few rows each, `x` shifted.
fn days(count: u32, rows: u32, shift: f64, first: &str) -> String {
    let first = chrono::NaiveDate::parse_from_str(first, "%Y-%m-%d").unwrap();
    let mut text = "when,known,x,y\n".to_owned();
    for day in 0..count {
        let date = first + chrono::Days::new(day.into());
        for row in 0..rows {
            let mixed = (day * rows + row) * 7_919 % 10_007;
            let x = f64::from(mixed) / 1_000.0 + shift;
            writeln!(text, "{date},{date},{x},{}", mixed % 13).unwrap();
        }
    }
    text
}

#[test]
fn quiet_history_calibrates_the_threshold_and_a_small_shift_is_then_told() {
    let project = Project::new();
    project.write("year.csv", &days(120, 60, 0.0, "2026-01-01"));
    project.write("day.csv", &days(1, 60, 2.0, "2026-06-01"));
    project.write("quiet.csv", &days(1, 60, 0.0, "2026-06-01"));
    let day = ["--time", "when", "--period", "1d", "--expected-run-time", "30d"];
    let drift = |file, options: &[&str]| {
        project.json(&[&["drift", "year.csv", file, "--no-domain-classifier"], options].concat())
    };
    let found = drift("day.csv", &day);
    let source = &found["threshold_source"];
    assert_eq!(
        (&source["kind"], &source["periods"]),
        (&"calibrated".into(), &115.into()),
        "{source}"
    );
    assert_eq!(source["expected_run_days"], 30.0);
    let value = found["threshold"].as_f64().unwrap();
    // The shift of a fifth of the range would have stayed below the fixed threshold.
    assert!(value < found["score"].as_f64().unwrap() && value < 0.2, "{found}");
    assert_eq!(found["drifted"], true);
    assert!(found["score"].as_f64().unwrap() < 0.3, "{found}");
    assert_eq!(drift("quiet.csv", &day)["drifted"], false);

    // Two columns of times, or a history that is too short: the fixed one, and why.
    let why = |options: &[&str]| {
        drift("day.csv", options)["threshold_source"]["explanation"].as_str().unwrap().to_owned()
    };
    assert!(why(&[]).contains("`--time` says which one counts"), "{}", why(&[]));
    let few = why(&["--time", "when", "--period", "30d"]);
    assert!(few.contains("holds 3 periods of 30d, and 16 are needed"), "{few}");

    let wrong = ["drift", "year.csv", "day.csv", "--time", "x"];
    project.bad(&wrong, 1, "no times in a column `x`");
    project.bad(&wrong, 1, "its columns of times are when, known");
    let short = [&["drift", "year.csv", "day.csv"][..], &day[..4], &["--expected-run-time", "1d"]];
    project.bad(&short.concat(), 1, "shorter than two periods");
    let both = ["drift", "year.csv", "day.csv", "--threshold", "0.2", "--time", "when"];
    project.bad(&both, 2, "cannot be used with");
}
