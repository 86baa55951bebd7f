//! Stored logs of every format still fold to the state they once gave, and are written the same.

use std::collections::BTreeSet;

use afresh_core::event::{Event, FORMAT};
use afresh_core::id::ModelName;
use afresh_core::model::Model;
use afresh_core::time::Timestamp;
use serde_json::Value;

/// Logs as they were written; a new format gets files of its own, and these stay.
const GOLDEN: &[&str] = &[
    include_str!("golden/format_1_promoted.json"),
    include_str!("golden/format_1_rolled_back_and_overridden.json"),
];

#[test]
fn golden_logs_fold_to_their_states() {
    for text in GOLDEN {
        let golden = text.parse::<Value>().unwrap();
        let log = serde_json::from_value::<Vec<(Timestamp, Event)>>(golden["log"].clone()).unwrap();
        let mut model = Model::new(ModelName::new(golden["model"].as_str().unwrap()).unwrap());
        for (at, event) in &log {
            model.apply(*at, event);
        }
        let state = serde_json::from_value::<Model>(golden["state"].clone()).unwrap();
        assert_eq!(model, state);
        assert_eq!(serde_json::to_value(&model).unwrap(), golden["state"]);
    }
}

#[test]
fn events_are_still_written_as_they_were() {
    assert_eq!(FORMAT, 1, "a new format needs golden logs of its own and a way to read the old");
    let mut kinds = BTreeSet::new();
    for text in GOLDEN {
        let golden = text.parse::<Value>().unwrap();
        for entry in golden["log"].as_array().unwrap() {
            let (_, event) = serde_json::from_value::<(Timestamp, Event)>(entry.clone()).unwrap();
            assert_eq!(serde_json::to_value(&event).unwrap(), entry[1]);
            kinds.extend(entry[1].as_object().unwrap().keys().cloned());
        }
    }
    // Every kind of event there is; a new one belongs into a golden log as well.
    assert_eq!(kinds.len(), 25, "{kinds:?}");
}
