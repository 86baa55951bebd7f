//! What every backend of the Store port must do; panics where one does not.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "this is a test"
)]

pub mod script;

use std::sync::Arc;

use afresh_core::decision::{Act, Decision};
use afresh_core::event::{Event, Outcome};
use afresh_core::gate::{Comparison, Evidence, Verdict};
use afresh_core::history::Role;
use afresh_core::id::{Fence, ModelName, PolicyHash, RunId, VersionId};
use afresh_core::model::{Canary, Model, Standing};
use afresh_core::signal::Cause;
use afresh_core::time::Timestamp;
use afresh_engine::port::{Commit, Fact, Page, Store, StoreError};
use tokio::task::JoinSet;

use script::{End, Script, decision, taken};

const ALL: u32 = 10_000;
const EVERYTHING: Page = Page { before: None, limit: ALL };

/// Runs the suite; `make` gives an empty store each time.
pub async fn conforms<S: Store + 'static>(make: impl AsyncFn() -> S) {
    facts_come_back_in_order_and_in_pages(&make().await).await;
    a_wrong_number_is_a_conflict_and_changes_nothing(&make().await).await;
    commits_at_once_are_kept_once(Arc::new(make().await)).await;
    a_fact_that_cannot_be_read_back_is_refused(&make().await).await;
    equal_keeps_are_one_row_even_when_causes_alternate(&make().await).await;
    acts_requests_and_policies_open_rows(&make().await).await;
    decisions_come_newest_first_in_pages(&make().await).await;
    runs_and_versions_are_told(&make().await).await;
    what_served_when_is_told(&make().await).await;
    snapshots_equal_the_fold(&make().await).await;
    one_fact_at_a_time_tells_the_same(&make().await, &make().await).await;
    documents_are_replaced(&make().await).await;
}

/// Checks that everything is still there; `open` opens the same place each time.
pub async fn survives_reopening<S: Store>(open: impl AsyncFn() -> S) {
    let mut script = Script::new("shop/churn");
    let store = open().await;
    Script::play(&store, script.run(1, End::Promoted)).await;
    Script::play(&store, vec![script.decide(decision(Act::Keep, Cause::Drift, 0.1))]).await;
    let fleet = Some(taken(script.name(), 0));
    Script::play(&store, vec![Commit { fleet, ..script.step(Vec::new()) }]).await;
    store.put_document(script.name(), "drift", "[1, 2]").await.unwrap();
    let before = dump(&store).await;
    drop(store);

    let store = open().await;
    assert_eq!(dump(&store).await, before);
    let document = store.document(script.name(), "drift").await.unwrap();
    assert_eq!(document.as_deref(), Some("[1, 2]"));
    Script::play(&store, vec![script.decide(decision(Act::Keep, Cause::Drift, 0.2))]).await;
    Script::play(&store, script.run(2, End::RolledBack)).await;
    assert_eq!(store.facts(script.name(), 0, ALL).await.unwrap().len() as u64, script.number);
    let decisions = store.decisions(None, EVERYTHING).await.unwrap();
    let counts = decisions.iter().map(|row| row.recorded.count).collect::<Vec<_>>();
    assert_eq!(counts, [1, 2, 1], "the keep of before continues");
}

async fn facts_come_back_in_order_and_in_pages<S: Store>(store: &S) {
    let (mut b, mut a) = (Script::new("b"), Script::new("a"));
    assert_eq!(store.models().await.unwrap(), []);
    assert_eq!(store.facts(b.name(), 0, ALL).await.unwrap(), []);
    let mut expected = Vec::new();
    for run in 1..=3 {
        let commits = b.run(run, End::Promoted);
        for commit in &commits {
            let facts = (commit.expected + 1..).zip(&commit.events);
            expected.extend(facts.map(|(number, event)| Fact {
                number,
                at: commit.at,
                event: event.clone(),
            }));
        }
        Script::play(store, commits).await;
        Script::play(store, a.run(run, End::Rejected)).await;
    }
    assert_eq!(store.models().await.unwrap(), [a.name().clone(), b.name().clone()]);
    assert_eq!(store.facts(b.name(), 0, ALL).await.unwrap(), expected);
    let mut paged = Vec::new();
    loop {
        let page = store.facts(b.name(), paged.len() as u64, 7).await.unwrap();
        assert!(page.len() <= 7, "a page holds its limit at most");
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, expected);
    assert_eq!(fold(store, b.name()).await, b.model);
    assert_eq!(store.facts(b.name(), u64::MAX, ALL).await.unwrap(), []);
}

async fn a_wrong_number_is_a_conflict_and_changes_nothing<S: Store>(store: &S) {
    let mut script = Script::new("m");
    Script::play(store, script.run(1, End::Promoted)).await;
    let fleet = Some(taken(script.name(), 0));
    Script::play(store, vec![Commit { fleet, ..script.step(Vec::new()) }]).await;
    let before = dump(store).await;
    let number = script.number;
    let good = Commit {
        decision: Some(decision(Act::Retrain, Cause::Drift, 0.9)),
        fleet: Some(taken(script.name(), 1)),
        ..script.clone().run(2, End::Rejected).remove(0)
    };
    let fleet = |expected| Some(taken(script.name(), expected));
    for (wrong, log, expected) in [
        (Commit { expected: number - 1, ..good.clone() }, "m", number - 1),
        (Commit { expected: number + 1, ..good.clone() }, "m", number + 1),
        (Commit { expected: 0, events: Vec::new(), ..good.clone() }, "m", 0),
        (Commit { expected: u64::MAX, ..good.clone() }, "m", u64::MAX),
        (Commit { fleet: fleet(0), ..good.clone() }, "fleet", 0),
        (Commit { fleet: fleet(2), ..good.clone() }, "fleet", 2),
    ] {
        match store.commit(wrong).await {
            Err(StoreError::Conflict { log: found, expected: at }) => {
                assert_eq!((found.as_str(), at), (log, expected));
            }
            other => panic!("a conflict about {log} {expected} became {other:?}"),
        }
        assert_eq!(dump(store).await, before);
    }
    store.commit(good).await.unwrap();
    assert_ne!(dump(store).await, before);
}

async fn commits_at_once_are_kept_once<S: Store + 'static>(store: Arc<S>) {
    let mut tasks = JoinSet::new();
    for number in 0..40 {
        let commit = Script::new(&format!("m{number}")).run(1, End::Promoted).remove(0);
        for _ in 0..2 {
            let (store, commit) = (Arc::clone(&store), commit.clone());
            tasks.spawn(async move { store.commit(commit).await });
        }
    }
    let results = tasks.join_all().await;
    let conflict =
        |result: &&Result<(), StoreError>| matches!(result, Err(StoreError::Conflict { .. }));
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 40);
    assert_eq!(results.iter().filter(conflict).count(), 40);
    assert_eq!(store.models().await.unwrap().len(), 40);
    assert_eq!(store.decisions(None, EVERYTHING).await.unwrap().len(), 40);
    assert_eq!(store.runs(None, EVERYTHING).await.unwrap().len(), 40);
}

async fn a_fact_that_cannot_be_read_back_is_refused<S: Store>(store: &S) {
    let mut script = Script::new("m");
    Script::play(store, script.run(1, End::Promoted)).await;
    let before = dump(store).await;
    let trained = Event::CandidateTrained {
        run: RunId(1),
        candidate: VersionId(9),
        cpu_seconds: f64::INFINITY,
    };
    let (champion, difference) = (0.7, 0.0);
    let comparison = Comparison { champion, difference, lower: f64::NEG_INFINITY, upper: 0.1 };
    let judged = Event::CandidateJudged {
        run: RunId(1),
        candidate: VersionId(9),
        judgement: 0,
        verdict: Verdict::Reject,
        evidence: Box::new(Evidence {
            checks: Vec::new(),
            metric: "auc".to_owned(),
            candidate: None,
            comparison: Some(comparison),
            rows: 1,
            harmed_slices: Vec::new(),
            negative_flips: None,
        }),
        reasons: Vec::new(),
    };
    for event in [trained, judged] {
        let result = store.commit(script.clone().step(vec![event])).await;
        // A backend may keep such numbers, but then it must give them back.
        match result {
            Ok(()) => panic!("a fact was kept that JSON cannot hold"),
            Err(error) => assert!(matches!(error, StoreError::Broken { .. }), "{error:?}"),
        }
        assert_eq!(dump(store).await, before);
    }
}

async fn equal_keeps_are_one_row_even_when_causes_alternate<S: Store>(store: &S) {
    let mut script = Script::new("m");
    let mut other = Script::new("other");
    for period in 0..50 {
        let score = f64::from(period % 10) / 100.0;
        for cause in [Cause::Drift, Cause::Volume, Cause::Advice] {
            let keep = decision(Act::Keep, cause, score);
            Script::play(store, vec![script.decide(keep)]).await;
        }
        let keep = decision(Act::Keep, Cause::Drift, 0.0);
        Script::play(store, vec![other.decide(keep)]).await;
    }
    let rows = store.decisions(Some(script.name()), EVERYTHING).await.unwrap();
    let causes = rows.iter().map(|row| row.recorded.decision.cause).collect::<Vec<_>>();
    assert_eq!(causes, [Cause::Advice, Cause::Volume, Cause::Drift]);
    for row in rows {
        let recorded = row.recorded;
        assert_eq!(recorded.count, 50);
        assert_eq!(
            (recorded.min, recorded.max, recorded.last),
            (Some(0.0), Some(0.09), Some(0.09))
        );
        assert!(recorded.first_at < recorded.last_at);
        assert_eq!(recorded.decision.reasons[0].detail, "score 0.09", "the last one's reasons");
    }
    assert_eq!(store.decisions(None, EVERYTHING).await.unwrap().len(), 4);
    assert_eq!(store.models().await.unwrap(), [], "keeping is not a fact");
}

async fn acts_requests_and_policies_open_rows<S: Store>(store: &S) {
    let mut script = Script::new("m");
    let keep = |cause| decision(Act::Keep, cause, 0.1);
    let asked = Decision { by: Some("ana".to_owned()), ..keep(Cause::Manual) };
    let policy = Decision { policy: PolicyHash(2), ..keep(Cause::Drift) };
    for decision in [
        keep(Cause::Drift),
        keep(Cause::Drift),
        decision(Act::Refuse, Cause::Outside, 9.0),
        keep(Cause::Drift),
        asked.clone(),
        asked,
        keep(Cause::Drift),
        policy.clone(),
        policy,
        keep(Cause::Drift),
        decision(Act::Retrain, Cause::Drift, 0.4),
        decision(Act::Retrain, Cause::Drift, 0.4),
    ] {
        Script::play(store, vec![script.decide(decision)]).await;
    }
    let rows = store.decisions(Some(script.name()), EVERYTHING).await.unwrap();
    let told = rows.iter().rev().map(|row| (row.recorded.decision.action, row.recorded.count));
    let expected = [
        (Act::Keep, 2),
        (Act::Refuse, 1),
        (Act::Keep, 2), // continues across the person's requests, which have their own rows
        (Act::Keep, 1),
        (Act::Keep, 1),
        (Act::Keep, 2), // the other policy
        (Act::Keep, 1), // and the first again
        (Act::Retrain, 1),
        (Act::Retrain, 1),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

async fn decisions_come_newest_first_in_pages<S: Store>(store: &S) {
    let mut scripts = ["a", "b", "c"].map(Script::new);
    for round in 0..11 {
        for script in &mut scripts {
            let act = decision(Act::Refuse, Cause::Outside, f64::from(round));
            Script::play(store, vec![script.decide(act)]).await;
        }
    }
    for (model, count) in [(None, 33), (Some(scripts[1].name()), 11)] {
        let whole = store.decisions(model, EVERYTHING).await.unwrap();
        assert_eq!(whole.len(), count);
        assert!(whole.is_sorted_by(|a, b| a.id > b.id), "newest first");
        assert!(model.is_none_or(|model| whole.iter().all(|row| row.model == *model)));
        let mut paged = Vec::new();
        let mut before = None;
        loop {
            let page = store.decisions(model, Page { before, limit: 4 }).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 4, "a page holds its limit at most");
            before = Some(last.id);
            paged.extend(page);
        }
        assert_eq!(paged, whole);
    }
}

async fn runs_and_versions_are_told<S: Store>(store: &S) {
    let (mut script, mut other) = (Script::new("m"), Script::new("other"));
    Script::play(store, script.run(1, End::Promoted)).await;
    Script::play(store, other.run(1, End::Promoted)).await;
    Script::play(store, script.run(2, End::Rejected)).await;
    let mut unfinished = script.run(3, End::Promoted);
    unfinished.truncate(9);
    Script::play(store, unfinished).await;

    let run = store.run(script.name(), RunId(1)).await.unwrap().unwrap();
    assert_eq!((run.status.as_str(), run.outcome), ("promoted", Some(Outcome::Promoted)));
    assert_eq!((run.judged, run.candidate), (Some(VersionId(1)), Some(VersionId(2))));
    assert_eq!((run.rows.train, run.verdict), (800, Some(Verdict::Pass)));
    assert!((run.cpu_seconds - 3.75).abs() < 1e-12, "{}", run.cpu_seconds);
    let difference = run.evidence.unwrap().comparison.unwrap().difference;
    assert_eq!(difference.to_bits(), (0.1_f64 + 0.2).to_bits(), "numbers are kept exactly");
    assert_eq!(store.run(script.name(), RunId(4)).await.unwrap(), None);

    let rows = store.runs(None, EVERYTHING).await.unwrap();
    let told = rows.iter().map(|row| (row.model.as_str(), row.record.run.id.0));
    assert_eq!(told.collect::<Vec<_>>(), [("m", 3), ("m", 2), ("other", 1), ("m", 1)]);
    let page = Page { before: Some(rows[0].id), limit: 1 };
    let mine = store.runs(Some(script.name()), page).await.unwrap();
    assert_eq!(mine.len(), 1);
    assert_eq!(mine[0], rows[1]);
    assert_eq!(rows[0].record.status, "rolling_out");

    let versions = store.versions(script.name(), EVERYTHING).await.unwrap();
    let numbers = versions.iter().map(|row| row.version.0).collect::<Vec<_>>();
    assert_eq!(numbers, [6, 5, 3, 2, 1]);
    let page = Page { before: Some(5), limit: 2 };
    let part = store.versions(script.name(), page).await.unwrap();
    assert_eq!(part, versions[2..4]);
    let champion = store.version(script.name(), VersionId(2)).await.unwrap().unwrap();
    assert_eq!(champion.role, Role::Champion);
    assert_eq!(champion.standing, Standing::Refit { parent: VersionId(1) });
    assert_eq!(champion.dataset, run.dataset);
    let roles = versions.iter().map(|row| row.role).collect::<Vec<_>>();
    let (candidate, retired) = (Role::Candidate, Role::Retired);
    assert_eq!(roles, [candidate, candidate, retired, Role::Champion, retired]);
    let judged = store.version(script.name(), VersionId(1)).await.unwrap().unwrap();
    assert_eq!((judged.standing, judged.run), (Standing::Passed, RunId(1)));
    let rejected = store.version(script.name(), VersionId(3)).await.unwrap().unwrap();
    assert_eq!(rejected.standing, Standing::Rejected);
    assert_eq!(store.version(script.name(), VersionId(4)).await.unwrap(), None);
}

async fn what_served_when_is_told<S: Store>(store: &S) {
    let mut script = Script::new("m");
    Script::play(store, script.run(1, End::Promoted)).await;
    Script::play(store, script.run(2, End::RolledBack)).await;
    let name = script.name();
    let servings = store.servings(name, EVERYTHING).await.unwrap();
    let fences = servings.iter().map(|serving| serving.fence.0).collect::<Vec<_>>();
    assert_eq!(fences, [5, 4, 3, 2, 1]);
    let version = |number| Some(VersionId(number));
    let canary = Some(Canary { version: VersionId(4), percent: 25 });
    let told = servings.iter().map(|serving| (serving.version, serving.canary));
    let expected = [
        (version(2), None),
        (version(4), None),
        (version(2), canary),
        (version(2), None),
        (None, Some(Canary { version: VersionId(2), percent: 25 })),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let page = Page { before: Some(3), limit: 1 };
    assert_eq!(store.servings(name, page).await.unwrap(), servings[3..4]);

    for (index, serving) in servings.iter().enumerate() {
        let at = |at| store.serving_at(name, at);
        assert_eq!(at(serving.from).await.unwrap().as_ref(), Some(serving), "from then on");
        let before = at(Timestamp(serving.from.0 - 1)).await.unwrap();
        assert_eq!(before.as_ref(), servings.get(index + 1), "and not earlier");
    }
    let now = store.serving_at(name, Timestamp::MAX).await.unwrap().unwrap();
    assert_eq!((now.fence, now.run), (Fence(5), Some(RunId(2))));
    assert_eq!(now.why, "rolled back: the run is over");
    assert_eq!(store.serving_at(name, Timestamp::MIN).await.unwrap(), None);
}

async fn snapshots_equal_the_fold<S: Store>(store: &S) {
    let mut script = Script::new("m");
    let advance = |n: u32| Event::ScheduleAdvanced { handled: Timestamp(n.into()), pending: n };
    assert_eq!(store.snapshot(script.name()).await.unwrap(), None);
    for n in 0..199 {
        Script::play(store, vec![script.step(vec![advance(n)])]).await;
    }
    assert_eq!(store.snapshot(script.name()).await.unwrap(), None, "not due yet");
    // A commit that steps over the multiple, not onto it.
    Script::play(store, vec![script.step(vec![advance(200), advance(201)])]).await;
    let snapshot = store.snapshot(script.name()).await.unwrap().unwrap();
    assert_eq!((snapshot.number, &snapshot.model), (201, &script.model));
    for (run, end) in [(1, End::Promoted), (2, End::Rejected), (3, End::RolledBack)] {
        Script::play(store, script.run(run, end)).await;
        let snapshot = store.snapshot(script.name()).await.unwrap().unwrap();
        assert_eq!((snapshot.number, &snapshot.model), (script.number, &script.model));
        assert_eq!(fold(store, script.name()).await, script.model);
    }
}

/// Records depend on the facts and not on how they were grouped.
async fn one_fact_at_a_time_tells_the_same<S: Store>(store: &S, single: &S) {
    let mut script = Script::new("m");
    for (run, end) in [(1, End::Promoted), (2, End::Rejected), (3, End::RolledBack)] {
        Script::play(store, script.run(run, end)).await;
    }
    let mut again = Model::new(script.name().clone());
    for fact in store.facts(script.name(), 0, ALL).await.unwrap() {
        let commit = Commit {
            before: again.clone(),
            expected: fact.number - 1,
            at: fact.at,
            events: vec![fact.event.clone()],
            fleet: None,
            decision: None,
        };
        Script::play(single, vec![commit]).await;
        again.apply(fact.at, &fact.event);
    }
    assert_eq!(records(single, script.name()).await, records(store, script.name()).await);
}

async fn documents_are_replaced<S: Store>(store: &S) {
    let (a, b) = (ModelName::new("a").unwrap(), ModelName::new("b").unwrap());
    assert_eq!(store.document(&a, "drift/2013-01-01").await.unwrap(), None);
    store.put_document(&a, "drift/2013-01-01", "{\"score\": 1}").await.unwrap();
    store.put_document(&a, "drift/2013-01-01", "{\"score\": \"é\"}").await.unwrap();
    store.put_document(&b, "drift/2013-01-01", "[]").await.unwrap();
    let document = store.document(&a, "drift/2013-01-01").await.unwrap();
    assert_eq!(document.as_deref(), Some("{\"score\": \"é\"}"));
    assert_eq!(store.document(&a, "drift").await.unwrap(), None);
    assert_eq!(store.models().await.unwrap(), [], "a document is not a fact");
}

/// The state, folded from the first fact on.
pub async fn fold<S: Store>(store: &S, name: &ModelName) -> Model {
    let mut model = Model::new(name.clone());
    for fact in store.facts(name, 0, u32::MAX).await.unwrap() {
        model.apply(fact.at, &fact.event);
    }
    model
}

/// Runs, versions, servings and the snapshot of a model, in words.
pub async fn records<S: Store>(store: &S, name: &ModelName) -> String {
    let runs = store.runs(Some(name), EVERYTHING).await.unwrap();
    let runs = runs.into_iter().map(|row| row.record).collect::<Vec<_>>();
    let versions = store.versions(name, EVERYTHING).await.unwrap();
    let servings = store.servings(name, EVERYTHING).await.unwrap();
    let snapshot = store.snapshot(name).await.unwrap();
    format!("{runs:#?}\n{versions:#?}\n{servings:#?}\n{snapshot:#?}")
}

/// Everything in a store but documents, in words.
pub async fn dump<S: Store>(store: &S) -> String {
    let mut text = String::new();
    for name in store.models().await.unwrap() {
        let facts = store.facts(&name, 0, ALL).await.unwrap();
        text += &format!("{name}\n{facts:#?}\n{}\n", records(store, &name).await);
    }
    let fleet = store.fleet_facts(0, ALL).await.unwrap();
    let decisions = store.decisions(None, EVERYTHING).await.unwrap();
    let runs = store.runs(None, EVERYTHING).await.unwrap();
    text + &format!("{fleet:#?}\n{decisions:#?}\n{runs:#?}")
}
