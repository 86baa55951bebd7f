//! The machine is the fold of its log, and a step that another was faster than changes nothing.

use afresh_core::input::Input;
use afresh_core::signal::Signal;
use afresh_engine::machine::Error;
use afresh_engine::port::{Store as _, StoreError};

use crate::bench::{Bench, CALM, day, model, open};

#[tokio::test]
async fn reopening_after_every_step_gives_the_same_state() {
    // The bench compares with a machine that reads everything anew, after every input.
    let mut bench = Bench::new(CALM).await;
    assert!(bench.first_version(day(28)).await.outcome.unwrap().promotes());
    assert!(bench.retrain(day(40)).await.outcome.unwrap().promotes());
    assert!(20 < bench.events().await.len());
}

#[tokio::test]
async fn conflict_changes_nothing_and_catching_up_ends_it() {
    let bench = Bench::new(CALM).await;
    let (mut first, mut second) =
        (open(&bench.store, &bench.rules).await, open(&bench.store, &bench.rules).await);
    let data = Input::Signal(Signal::Data { rows: 1_000 });
    first.handle(&model(), day(28), &data).await.unwrap();
    first.assign(day(28)).await.unwrap();
    let facts = bench.store.facts(&model(), 0, u32::MAX).await.unwrap();
    let fleet = bench.store.fleet_facts(0, u32::MAX).await.unwrap();
    let decisions = bench.store.decisions(None, Default::default()).await.unwrap();
    assert!(!facts.is_empty() && fleet.len() == 1 && !decisions.is_empty());

    let before = second.model(&model()).cloned();
    let error = second.handle(&model(), day(29), &data).await.unwrap_err();
    let Error::Store { source: StoreError::Conflict { log, expected }, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((log.as_str(), *expected), ("synthetic", 0));
    assert_eq!(second.model(&model()).cloned(), before);
    assert!(second.outstanding().is_empty() && second.owed(&model()).is_none());
    assert_eq!(bench.store.facts(&model(), 0, u32::MAX).await.unwrap(), facts);
    assert_eq!(bench.store.fleet_facts(0, u32::MAX).await.unwrap(), fleet);
    assert_eq!(bench.store.decisions(None, Default::default()).await.unwrap(), decisions);

    assert!(second.catch_up().await.unwrap());
    assert!(!second.catch_up().await.unwrap());
    assert_eq!(second.model(&model()), first.model(&model()));
    assert_eq!(second.outstanding(), first.outstanding());
}

#[tokio::test]
async fn conflict_over_slots_gives_them_to_nobody_twice() {
    let bench = Bench::new(CALM).await;
    let mut first = open(&bench.store, &bench.rules).await;
    let data = Input::Signal(Signal::Data { rows: 1_000 });
    first.handle(&model(), day(28), &data).await.unwrap();
    let mut second = open(&bench.store, &bench.rules).await;
    first.assign(day(28)).await.unwrap();
    let before = second.model(&model()).cloned();
    let error = second.assign(day(28)).await.unwrap_err();
    assert!(matches!(error, Error::Store { source: StoreError::Conflict { .. }, .. }), "{error:?}");
    assert_eq!(second.model(&model()).cloned(), before);
    assert_eq!(bench.store.fleet_facts(0, u32::MAX).await.unwrap().len(), 1);
    second.catch_up().await.unwrap();
    assert_eq!(second.outstanding(), first.outstanding());
    second.assign(day(28)).await.unwrap();
    assert_eq!(bench.store.fleet_facts(0, u32::MAX).await.unwrap().len(), 1);
}
