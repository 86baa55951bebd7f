//! What disturbs: signals, people, clocks, crashes, other policies, answers out of nowhere.

use afresh_core::event::{RowCounts, Stage};
use afresh_core::id::{DatasetId, Fence, RunId, VersionId};
use afresh_core::input::{Input, Prepared, Trained, Watch};
use afresh_core::invariant::{self, Broken, DatasetStatus};
use afresh_core::model::Phase;
use afresh_core::signal::{Advice, Decay, Mode, Priority, Request, Signal, Verdict as Opinion};
use afresh_core::time::Duration;

use super::world::{Message, World};

impl World<'_> {
    /// One disturbance of a random kind.
    pub(super) fn disturb(&mut self) -> Result<(), Broken> {
        let site = self.chance.index(self.sites.len());
        match self.chance.below(100) {
            0..45 => {
                let signal = self.signal(site);
                self.give(site, &Input::Signal(signal))
            }
            45..65 => self.watch_all(),
            65..75 => self.person(site),
            75..81 => {
                let input = self.out_of_nowhere(site);
                self.give(site, &input)
            }
            81..87 => self.crash(),
            87..91 => {
                self.jump();
                Ok(())
            }
            91..94 => {
                self.saw("fault", "policy_changed");
                self.sites[site].policy = self.policies.any(&mut self.chance);
                self.ask_wakeup(site);
                Ok(())
            }
            94..97 => self.give(site, &Input::Tick),
            _ => {
                self.erase(site);
                self.look(site, true);
                Ok(())
            }
        }
    }

    /// Calm: people approve, and labels come.
    pub(super) fn attend(&mut self) -> Result<(), Broken> {
        for site in 0..self.sites.len() {
            if let Phase::AwaitingApproval { run, .. } = self.sites[site].model.phase() {
                let input = Input::Approve { run: run.id, by: "ana".to_owned() };
                self.give(site, &input)?;
            }
            self.watch(site, false)?;
        }
        Ok(())
    }

    fn watch_all(&mut self) -> Result<(), Broken> {
        for site in 0..self.sites.len() {
            self.watch(site, true)?;
        }
        Ok(())
    }

    fn watch(&mut self, site: usize, harmful: bool) -> Result<(), Broken> {
        let version = match self.sites[site].model.phase().candidate() {
            Some(candidate) if !harmful || !self.chance.percent(10) => candidate,
            _ if harmful => VersionId(1 + self.chance.below(9)),
            _ => return Ok(()),
        };
        let labels = self.sites[site].truth.labels.entry(version).or_default();
        // Sometimes an older count comes again.
        let more = if harmful && self.chance.percent(20) { 0 } else { self.chance.below(220) };
        *labels += more;
        let mut watch =
            Watch { version, labels: *labels, e_value: 0.7, excess_loss: 0.0, error_rate: 0.0 };
        match self.chance.below(100) {
            _ if !harmful => {}
            0..8 => watch.e_value = 40.0,
            8..12 => watch.error_rate = 0.2,
            12..16 => watch.e_value = f64::NAN,
            16..20 => watch.labels /= 2,
            20..24 => watch.e_value = f64::INFINITY,
            _ => {}
        }
        self.give(site, &Input::Watched(watch))
    }

    fn signal(&mut self, site: usize) -> Signal {
        let priority = Priority::new(self.chance.pick(&[1, 2, 3, 3, 4, 5, 5]));
        let priority = priority.unwrap_or(Priority::DEFAULT);
        let rows = self.chance.below(4_000);
        let number = if self.chance.percent(6) {
            self.saw("fault", "signal_not_finite");
            self.chance.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY])
        } else {
            self.chance.unit()
        };
        let mode = if self.chance.percent(25) { Mode::Force } else { Mode::Obey };
        let request = |by: &str| Request {
            by: by.to_owned(),
            reason: "new season".to_owned(),
            priority,
            mode,
        };
        match self.chance.below(9) {
            0 | 1 => Signal::Drift { score: number, rows },
            2 => Signal::Volume { rows },
            3 => Signal::Labels { rows },
            4 => Signal::Data { rows },
            5 => Signal::Manual(request("ana")),
            6 => Signal::Outside(request("airflow")),
            7 => {
                let champion = self.sites[site].model.champion();
                let other = VersionId(1 + self.chance.below(5));
                Signal::Decay(Decay {
                    version: champion.filter(|_| self.chance.percent(80)).unwrap_or(other),
                    metric: "auc".to_owned(),
                    drop: number / 5.0,
                    alarm: self.chance.percent(40),
                    priority,
                })
            }
            _ => Signal::Advice(Advice {
                policy: "periodic".to_owned(),
                retrain: self.chance.pick(&[Opinion::Retrain, Opinion::Keep]),
                gain: Some(number),
                cost: Some(0.5),
                priority,
                reasons: vec!["staleness grows".to_owned()],
            }),
        }
    }

    fn person(&mut self, site: usize) -> Result<(), Broken> {
        let by = "ben".to_owned();
        let any = RunId(1 + self.chance.below(9));
        let own = self.sites[site].model.phase().run().map_or(any, |run| run.id);
        let run = if self.chance.percent(85) { own } else { any };
        let input = match self.chance.below(8) {
            0..4 => Input::Approve { run, by },
            4 => Input::Decline { run, by },
            5 => Input::Cancel { run, by },
            _ => {
                let to = VersionId(1 + self.chance.below(12));
                let mode = self.chance.pick(&[Mode::Obey, Mode::Force]);
                Input::Override { to, by, reason: "the last was better".to_owned(), mode }
            }
        };
        self.give(site, &input)
    }

    /// Answers to questions that nobody asks any more, or never asked.
    fn out_of_nowhere(&mut self, site: usize) -> Input {
        let model = &self.sites[site].model;
        let own = model.phase().run().map_or(1, |run| run.id.0);
        let run = RunId(if self.chance.percent(50) { own + 1 } else { own - 1 });
        let stage = model.phase().stage();
        let candidate = match stage {
            Some((Stage::Train { candidate, .. }, _))
            | Some((Stage::Judge { candidate, .. }, _)) => *candidate,
            _ => VersionId(1 + self.chance.below(9)),
        };
        let judging = match stage {
            Some((Stage::Judge { judgement, .. }, _)) => Some(*judgement),
            _ => None,
        };
        match self.chance.below(5) {
            0 => {
                let dataset = DatasetId("nowhere".to_owned());
                Input::Prepared {
                    run,
                    result: Ok(Prepared { dataset, rows: RowCounts::default() }),
                }
            }
            1 => Input::Trained { run, candidate, result: Ok(Trained { cpu_seconds: 1.0 }) },
            2 => {
                // The right run, but a candidate of an earlier attempt of it.
                let candidate = VersionId(candidate.0.saturating_sub(1));
                let result = Ok(Trained { cpu_seconds: 1.0 });
                Input::Trained { run: RunId(own), candidate, result }
            }
            3 if judging.is_some() => {
                // The right candidate, but another judgement of it.
                let judgement = judging.map_or(0, |number| number.checked_sub(1).unwrap_or(1));
                let result = Box::new(Ok(self.evidence(true)));
                Input::Judged { run: RunId(own), candidate, judgement, result }
            }
            _ => {
                let fence = model.fence().0;
                Input::Serving {
                    fence: Fence(if self.chance.percent(50) {
                        fence + 1
                    } else {
                        fence.wrapping_sub(1)
                    }),
                }
            }
        }
    }

    /// Only the logs survive. Some answers find nobody who waits for them.
    fn crash(&mut self) -> Result<(), Broken> {
        self.summary.crashes += 1;
        for site in &self.sites {
            invariant::fold_is_state(site.model.name(), &site.log, &site.model)?;
        }
        self.fleet_is_its_log()?;
        for site in &mut self.sites {
            site.recover();
        }
        let before = self.messages.len();
        let chance = &mut self.chance;
        self.messages.retain(|_, message| match message {
            Message::Answer { .. } => !chance.percent(30),
            Message::Deploy { .. } => true,
        });
        for _ in self.messages.len()..before {
            self.saw("fault", "answer_lost_in_crash");
        }
        let down = self.chance.pick(&[Duration::minutes(1), Duration::hours(5)]);
        self.real = self.real.after(down);
        for site in 0..self.sites.len() {
            self.look(site, true);
        }
        Ok(())
    }

    fn jump(&mut self) {
        let by = self.chance.length(Duration::seconds(1), Duration::hours(8)).0;
        let by = i64::try_from(by).unwrap_or(0);
        if self.chance.percent(50) {
            self.saw("fault", "clock_forward");
            self.clock_ahead_ms += by;
        } else {
            self.saw("fault", "clock_backward");
            self.clock_ahead_ms -= by;
        }
    }

    /// A person has the rows of a dataset erased, which leaves a tombstone.
    fn erase(&mut self, site: usize) {
        let datasets = &mut self.sites[site].truth.datasets;
        if let Some(mut entry) = datasets.first_entry() {
            *entry.get_mut() = DatasetStatus::Tombstone;
        }
    }
}
