//! What an answer of a worker means: the next step, another attempt, or the end of the run.

use super::Turn;
use crate::decision::{Act, Decided};
use crate::event::{Event, Failure, FailureKind, Outcome, Run, Stage};
use crate::gate::{CheckResult, Evidence, Verdict};
use crate::id::{RunId, VersionId};
use crate::input::{Prepared, Refitted, Trained};
use crate::model::Phase;
use crate::policy::{Approval, Refit};
use crate::reason::{Code, Reason};
use crate::signal::Strategy;

impl Turn<'_> {
    /// The step that `run` is at, if `run` is the one under way. Answers of earlier attempts of
    /// the same step are as good as the last one's.
    fn at(self, run: RunId) -> Option<(Run, Stage, u32)> {
        let under_way = self.model.phase.run().filter(|under_way| under_way.id == run)?;
        let (stage, attempt) = self.model.phase.stage()?;
        Some((under_way, stage.clone(), attempt))
    }

    /// The next step: at once where slots are held, else when they are given.
    fn proceed(self, run: &Run, stage: Stage) -> Event {
        match self.model.phase {
            Phase::Working { .. } => self.start_stage(run, stage, 0),
            _ => self.queue_stage(run, stage, 0),
        }
    }

    pub(super) fn prepared(self, of: RunId, result: &Result<Prepared, Failure>) -> Decided {
        let Some((run, Stage::Prepare, attempt)) = self.at(of) else { return Decided::default() };
        match result {
            Err(failure) => self.failed(&run, attempt, failure),
            Ok(prepared) => {
                let dataset = prepared.dataset.clone();
                let stage =
                    Stage::Train { dataset: dataset.clone(), candidate: self.model.next_version };
                self.only(vec![
                    Event::DatasetPrepared { run: run.id, dataset, rows: prepared.rows },
                    self.proceed(&run, stage),
                ])
            }
        }
    }

    pub(super) fn trained(
        self,
        of: RunId,
        version: VersionId,
        result: &Result<Trained, Failure>,
    ) -> Decided {
        let Some((run, Stage::Train { dataset, candidate }, attempt)) = self.at(of) else {
            return Decided::default();
        };
        if candidate != version {
            return Decided::default();
        }
        match result {
            Err(failure) => self.failed(&run, attempt, failure),
            Ok(trained) => {
                let cpu_seconds = trained.cpu_seconds;
                let stage = Stage::Judge { dataset, candidate, judgement: 0 };
                self.only(vec![
                    Event::CandidateTrained { run: run.id, candidate, cpu_seconds },
                    self.proceed(&run, stage),
                ])
            }
        }
    }

    pub(super) fn judged(
        self,
        of: RunId,
        version: VersionId,
        number: u32,
        result: &Result<Evidence, Failure>,
    ) -> Decided {
        let Some((run, Stage::Judge { dataset, candidate, judgement }, attempt)) = self.at(of)
        else {
            return Decided::default();
        };
        if candidate != version || judgement != number {
            return Decided::default();
        }
        let evidence = match result {
            Err(failure) => return self.failed(&run, attempt, failure),
            Ok(evidence) => evidence,
        };
        if !evidence.is_finite() {
            // A fact that no store could keep is no fact.
            let message = format!("the evidence on {candidate} holds a number that is not finite");
            let failure = Failure { kind: FailureKind::Permanent, message, cpu_seconds: 0.0 };
            return self.failed(&run, attempt, &failure);
        }
        let (mut verdict, mut reasons) = self.policy.gate.judge(evidence);
        if self.model.champion.is_some() && evidence.comparison.is_none() {
            // Without a champion the gate asks less; nobody gets there by leaving it out.
            verdict = Verdict::Reject;
            let words = format!("{candidate} was not compared with the champion");
            if reasons.iter().all(|reason| reason.code == Code::Passed) {
                reasons.clear();
            }
            reasons.push(Reason::new(Code::HardCheckFailed, words));
        }
        if verdict == Verdict::Inconclusive && self.policy.rejudge.times <= judgement {
            verdict = Verdict::Reject;
            let words = format!("no clear answer after {} judgements", judgement + 1);
            reasons.push(Reason::new(Code::TriesSpent, words));
        }
        let mut events = vec![Event::CandidateJudged {
            run: run.id,
            candidate,
            judgement,
            verdict,
            evidence: Box::new(evidence.clone()),
            reasons: reasons.clone(),
        }];
        let act = match verdict {
            Verdict::Pass if self.policy.refit == Refit::Yes => {
                let stage =
                    Stage::Refit { dataset, parent: candidate, candidate: self.model.next_version };
                events.push(self.proceed(&run, stage));
                Act::RollOut
            }
            Verdict::Pass => {
                events.push(self.passed(&run, candidate));
                Act::RollOut
            }
            Verdict::Reject => {
                events.push(self.end(&run, Outcome::Rejected, reasons.clone()));
                Act::Reject
            }
            Verdict::Inconclusive => {
                let rejudge_at = self.now.after(self.policy.rejudge.every);
                events.push(Event::CandidateWaits { run: run.id, rejudge_at });
                Act::Wait
            }
        };
        self.note(events, act, &run, reasons)
    }

    pub(super) fn refitted(
        self,
        of: RunId,
        version: VersionId,
        result: &Result<Refitted, Failure>,
    ) -> Decided {
        let Some((run, Stage::Refit { parent, candidate, .. }, attempt)) = self.at(of) else {
            return Decided::default();
        };
        if candidate != version {
            return Decided::default();
        }
        let refitted = match result {
            Ok(refitted) => refitted,
            Err(failure)
                if failure.kind == FailureKind::Transient && attempt < self.policy.retry.times =>
            {
                return self.failed(&run, attempt, failure);
            }
            Err(failure) => {
                return self.drop_refit(&run, parent, failure.cpu_seconds, &failure.message);
            }
        };
        let cpu_seconds = refitted.cpu_seconds;
        let broken = refitted.checks.iter().find(|check| check.result == CheckResult::Failed);
        if let Some(check) = broken {
            let words = format!("{}: {}", check.name, check.detail);
            return self.drop_refit(&run, parent, cpu_seconds, &words);
        }
        self.only(vec![
            Event::CandidateRefitted { run: run.id, parent, candidate, cpu_seconds },
            self.passed(&run, candidate),
        ])
    }

    /// The judged candidate goes on without its refit.
    fn drop_refit(self, run: &Run, parent: VersionId, cpu_seconds: f64, why: &str) -> Decided {
        let reason = Reason::new(Code::RefitFailed, format!("{parent} ships without refit: {why}"));
        let dropped = Event::RefitDropped { run: run.id, cpu_seconds, reason: reason.clone() };
        self.note(vec![dropped, self.passed(run, parent)], Act::RollOut, run, vec![reason])
    }

    /// What follows a passed gate.
    fn passed(self, run: &Run, candidate: VersionId) -> Event {
        match self.policy.approval {
            Approval::Person => Event::ApprovalAsked { run: run.id, candidate },
            Approval::Automatic => self.roll_out(run, candidate),
        }
    }

    /// A step took longer than allowed.
    pub(super) fn overdue(self, run: &Run) -> Decided {
        let Some((stage, attempt)) = self.model.phase.stage() else { return Decided::default() };
        let words =
            format!("{} took longer than {}", stage.name(), stage.limit(&self.policy.limits));
        let reason = Reason::new(Code::TimedOut, words);
        if attempt < self.policy.retry.times {
            return self.retry(run, attempt, 0.0, reason);
        }
        if let Stage::Refit { parent, .. } = stage {
            return self.drop_refit(run, *parent, 0.0, &reason.detail);
        }
        let events = vec![self.end(run, Outcome::TimedOut, vec![reason.clone()])];
        self.note(events, Act::Abandon, run, vec![reason])
    }

    fn failed(self, run: &Run, attempt: u32, failure: &Failure) -> Decided {
        // A step that waits to be repeated has failed already; an echo changes nothing.
        if !matches!(self.model.phase, Phase::Working { .. }) {
            return Decided::default();
        }
        let message = failure.message.clone();
        match failure.kind {
            FailureKind::Transient if attempt < self.policy.retry.times => {
                let reason = Reason::new(Code::WillRetry, message);
                self.retry(run, attempt, failure.cpu_seconds, reason)
            }
            // Only an increment can be made full; from anybody else the words are a plain failure.
            FailureKind::FullRetrainingDue if run.strategy == Strategy::Incremental => {
                let reason = Reason::new(Code::FullRetrainingDue, message);
                let cpu_seconds = failure.cpu_seconds;
                let event = Event::RunMadeFull { run: run.id, cpu_seconds, reason: reason.clone() };
                self.note(vec![event], Act::Retry, run, vec![reason])
            }
            FailureKind::Transient | FailureKind::Permanent | FailureKind::FullRetrainingDue => {
                let reason = Reason::new(Code::FailedForGood, message);
                let not_before = self.now.after(self.policy.cooldown);
                let ended = Event::RunEnded {
                    run: run.id,
                    outcome: Outcome::Failed,
                    not_before,
                    cpu_seconds: failure.cpu_seconds,
                    reasons: vec![reason.clone()],
                };
                self.note(vec![ended], Act::Abandon, run, vec![reason])
            }
        }
    }

    fn retry(self, run: &Run, attempt: u32, cpu_seconds: f64, reason: Reason) -> Decided {
        let retry_at = self.now.after(self.policy.retry.delay);
        let mut reasons = vec![reason.clone()];
        let words = format!("attempt {} follows at {retry_at}", attempt + 2);
        reasons.push(Reason::new(Code::WillRetry, words));
        let event = Event::StageFailed { run: run.id, retry_at, cpu_seconds, reason };
        self.note(vec![event], Act::Retry, run, reasons)
    }
}
