//! Workers and the serving side, as unreliable as a network makes them.

use afresh_core::event::{Failure, FailureKind, RowCounts};
use afresh_core::gate::{Check, CheckResult, Comparison, Evidence};
use afresh_core::id::DatasetId;
use afresh_core::input::{Input, Prepared, Refitted, Trained};
use afresh_core::invariant::DatasetStatus;
use afresh_core::model::Action;
use afresh_core::time::Duration;

use super::world::{Message, Season, World};

/// What a comparison shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Better,
    Worse,
    Unclear,
    FailsCheck,
    NotANumber,
    NotCompared,
}

impl World<'_> {
    /// Performs an action the way a bad network would: never, once or twice, soon or far too late.
    pub(super) fn perform(&mut self, site: usize, action: &Action) {
        let storm = self.season == Season::Storm;
        if storm && self.chance.percent(11) {
            self.saw("fault", "answer_lost");
            return;
        }
        let mut copies = 1;
        if storm && self.chance.percent(10) {
            self.saw("fault", "answer_doubled");
            copies = 2;
        }
        let input = match action {
            Action::Serve(deployment) => {
                for _ in 0..copies {
                    let delay = self.delay();
                    self.send(delay, Message::Deploy { site, deployment: *deployment });
                }
                return;
            }
            Action::Prepare { run, attempt, .. } => {
                let result = self
                    .failing(6, 2, 1)
                    .map_or_else(|| Ok(self.dataset(site, format!("{site}-{run}-{attempt}"))), Err);
                Input::Prepared { run: *run, result }
            }
            Action::Train { run, dataset, candidate, warm_start, .. } => {
                let full_due = if warm_start.is_some() { 15 } else { 1 };
                let result = self
                    .failing(8, 2, full_due)
                    .map_or_else(|| Ok(Trained { cpu_seconds: self.cpu_seconds() }), Err);
                self.sites[site].truth.trained_on.insert(*candidate, dataset.clone());
                Input::Trained { run: *run, candidate: *candidate, result }
            }
            Action::Judge { run, candidate, champion, judgement, .. } => {
                let result = match self.failing(6, 2, 0) {
                    Some(failure) => Err(failure),
                    None => Ok(self.evidence(champion.is_some())),
                };
                let (run, candidate, judgement) = (*run, *candidate, *judgement);
                Input::Judged { run, candidate, judgement, result: Box::new(result) }
            }
            Action::Refit { run, dataset, candidate, .. } => {
                let result = match self.failing(8, 6, 3) {
                    Some(failure) => Err(failure),
                    None => {
                        let fails = self.chance.percent(10);
                        let checks = vec![check(fails)];
                        Ok(Refitted { cpu_seconds: self.cpu_seconds(), checks })
                    }
                };
                self.sites[site].truth.trained_on.insert(*candidate, dataset.clone());
                Input::Refitted { run: *run, candidate: *candidate, result }
            }
        };
        for _ in 0..copies {
            let delay = self.delay();
            self.send(delay, Message::Answer { site, input: input.clone() });
        }
    }

    /// Most answers are quick; some are later than every time limit there is.
    fn delay(&mut self) -> Duration {
        let kind = self.chance.below(100);
        if self.season == Season::Calm || kind < 80 {
            return self.chance.length(Duration::seconds(1), Duration::minutes(9));
        }
        if kind < 92 {
            return self.chance.length(Duration::minutes(5), Duration::hours(3));
        }
        self.saw("fault", "answer_late");
        self.chance.length(Duration::hours(3), Duration::days(5))
    }

    fn failing(&mut self, transient: u64, permanent: u64, full_due: u64) -> Option<Failure> {
        if self.season == Season::Calm {
            return None;
        }
        let number = self.chance.below(100);
        let kind = if number < transient {
            FailureKind::Transient
        } else if number < transient + permanent {
            FailureKind::Permanent
        } else if number < transient + permanent + full_due {
            FailureKind::FullRetrainingDue
        } else {
            return None;
        };
        let message = "a simulated failure".to_owned();
        Some(Failure { kind, message, cpu_seconds: self.cpu_seconds() })
    }

    fn cpu_seconds(&mut self) -> f64 {
        // Whole numbers, so that sums are exact in any order.
        (1.0 + self.chance.unit() * 60.0).round()
    }

    fn dataset(&mut self, site: usize, name: String) -> Prepared {
        let dataset = DatasetId(name);
        let datasets = &mut self.sites[site].truth.datasets;
        datasets.entry(dataset.clone()).or_insert(DatasetStatus::Verified);
        Prepared { dataset, rows: RowCounts { train: 800, stopping: 100, holdout: 100 } }
    }

    pub(super) fn evidence(&mut self, compared: bool) -> Evidence {
        let kind = match self.chance.below(100) {
            0..55 => Kind::Better,
            55..70 => Kind::Worse,
            70..90 => Kind::Unclear,
            90..94 => Kind::FailsCheck,
            94..97 => Kind::NotANumber,
            _ => Kind::NotCompared,
        };
        let comparison = |difference: f64, error: f64| {
            let (lower, upper) = (difference - error, difference + error);
            compared.then_some(Comparison { champion: 0.9, difference, lower, upper })
        };
        let (candidate, comparison) = match kind {
            Kind::Better | Kind::FailsCheck => (Some(0.95), comparison(0.05, 0.01)),
            Kind::Worse => (Some(0.70), comparison(-0.2, 0.01)),
            Kind::Unclear => (Some(0.91), comparison(-0.001, 0.05)),
            Kind::NotANumber => (Some(f64::NAN), comparison(f64::NAN, 0.0)),
            Kind::NotCompared => (Some(0.95), None),
        };
        Evidence {
            checks: vec![check(kind == Kind::FailsCheck)],
            metric: "auc".to_owned(),
            candidate,
            comparison,
            rows: 100,
            harmed_slices: Vec::new(),
            negative_flips: None,
        }
    }

    /// A deployment reaches the serving side, which refuses it if a newer one came before.
    pub(super) fn deploy(&mut self, site: usize, deployment: afresh_core::model::Deployment) {
        let serving = &mut self.sites[site].serving;
        if deployment.fence < serving.fence {
            self.saw("fault", "deployment_refused");
            return;
        }
        serving.fence = deployment.fence;
        serving.taken = Some(deployment);
        let copies = match self.chance.below(100) {
            _ if self.season == Season::Calm => 1,
            0..10 => 0,
            10..20 => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let delay = self.delay();
            let input = Input::Serving { fence: deployment.fence };
            self.send(delay, Message::Answer { site, input });
        }
    }
}

fn check(fails: bool) -> Check {
    let result = if fails { CheckResult::Failed } else { CheckResult::Passed };
    let detail = if fails { "row 7 gives NaN" } else { "all rows" };
    Check { name: "outputs finite".to_owned(), result, detail: detail.to_owned() }
}
