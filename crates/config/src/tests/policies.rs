//! Policies: every one is written, read back the same, and put into a file that stays as it was.

use afresh_policy::rule::{Detector, Rule};

use super::{parse, with};
use crate::apply::{Error, apply, snippet};

fn every() -> Vec<Rule> {
    let decay = || Rule::Decay { test: Detector::Sequential };
    vec![
        Rule::Never,
        Rule::Always,
        Rule::Every { periods: 3 },
        Rule::periodic_decay(4, 2),
        Rule::periodic_decay(6, 1),
        Rule::Phase { periods: 4, offset: 3 },
        Rule::Volume { rows: 12_000 },
        Rule::Drift { score: 0.1 + 0.2 },
        Rule::KolmogorovSmirnov { p: 0.01 },
        decay(),
        Rule::Decay { test: Detector::TTest },
        Rule::Decay { test: Detector::Adwin },
        Rule::Decay { test: Detector::Cusum },
        Rule::Markov { factor: 1.0 },
        Rule::Economic { factor: 0.7 },
        Rule::CaraT { cost: 1e-9 },
        Rule::CaraCt { cost: 123_456_789_012_345_680_000.0 },
        Rule::BudgetQueue { cpu_hours: 1.991_666_666_666_666_7e-9, weight: 10.0 },
        Rule::Upf { horizon: 8 },
        Rule::DriftSurf { test: Detector::Adwin, trial: 4 },
        Rule::Any { of: vec![Rule::Economic { factor: 1.4 }, Rule::Every { periods: 8 }] },
        Rule::All { of: vec![decay(), Rule::Drift { score: 0.2 }] },
        Rule::AtLeast {
            count: 2,
            of: vec![decay(), Rule::Volume { rows: 5 }, Rule::Any { of: vec![decay()] }],
        },
        Rule::WarmUp { periods: 5, then: Box::new(Rule::Every { periods: 2 }) },
    ]
}

fn read(text: &str) -> Rule {
    let config = parse(text).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
    config.models[0].advice.rule.clone()
}

#[test]
fn every_policy_reads_back_as_it_was_written() {
    for rule in every() {
        let pasted = format!("[model.m.data]\nsource = \"a.csv\"\n{}", snippet("m", &rule, None));
        assert_eq!(read(&pasted), rule, "{pasted}");
        for before in
            ["", "policy = \"never\"", "every = \"9 periods\"", "policy = { rule = \"ks\" }"]
        {
            let text = apply(&with("retrain", before), "m", &rule, Some("28d")).unwrap();
            assert_eq!(read(&text), rule, "{text}");
            assert!(text.contains("window = \"28d\""), "{text}");
        }
    }
}

#[test]
fn everything_else_in_the_file_stays_as_it_is() {
    let text = "# Ours.\n[model.m]\nowner = \"a\"   # ask\n\n[model.m.data]\nsource = \"a.csv\"\n\
                window = { scheduled = \"90d\", triggered = \"7d\" }   # long\n\n[model.m.retrain]\n\
                every = \"4 periods\"\npolicy = \"periodic\"   # for now\ncooldown = \"1h\"\n";
    let rule = Rule::Drift { score: 0.15 };
    assert_eq!(
        apply(text, "m", &rule, Some("all")).unwrap(),
        "# Ours.\n[model.m]\nowner = \"a\"   # ask\n\n[model.m.data]\nsource = \"a.csv\"\n\
         window = { scheduled = \"all\", triggered = \"7d\" }   # long\n\n[model.m.retrain]\n\
         policy = { rule = \"drift\", score = 0.15 }   # for now\ncooldown = \"1h\"\n"
    );
    for text in [
        "[model]\nm.data.source = \"a.csv\"\nm.retrain.policy = \"always\"\n",
        "[model]\nm = { data = { source = \"a.csv\" }, retrain = { policy = \"always\" } }\n",
        "[model]\nm = { data = { source = \"a.csv\" } }\n",
        "[model.m.data]\nsource = \"a.csv\"\n[model.m.retrain.policy]\nrule = \"ks\"\np = 0.05\n",
    ] {
        let text = apply(text, "m", &rule, None).unwrap();
        assert_eq!(read(&text), rule, "{text}");
    }
}

#[test]
fn file_without_the_model_is_left_alone() {
    let error = apply("[model.m]\n", "other", &Rule::Never, None).unwrap_err();
    assert_eq!(error, Error::NoModel("other".to_owned()));
    assert!(matches!(apply("[model.m", "m", &Rule::Never, None), Err(Error::Syntax(_))));
    assert!(matches!(
        apply("[model.m]\nretrain = 1\n", "m", &Rule::Never, None),
        Err(Error::NoSection(_))
    ));
}
