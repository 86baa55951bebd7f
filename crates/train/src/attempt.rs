//! One training, from the rows of a job to an unsealed artifact: which selection of the rows does best, for how many rounds, and
//! in the end on all rows where the job wants that.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use afresh_data::rows::Rows;
use afresh_data::schema::{Schema, Task};
use afresh_data::selection::Selection;
use afresh_ml::metrics::{self, loss::row_losses};

use crate::artifact::{self, Chosen, Manifest, Searched};
use crate::error::{Error, Retry};
use crate::learner::OnRound;
use crate::process;
use crate::scorer::Scorer;
use crate::trainer::{Job, Part, Parts, ReadRows};

/// Trains once with an engine and leaves the model in a directory.
pub(crate) type Fit<'a> =
    &'a dyn Fn(&Job, &Parts, &Path, &mut OnRound<'_>) -> Result<Manifest, Error>;

/// Trains and writes the model into `staging`.
pub(crate) fn train(
    job: &Job,
    rows: &dyn ReadRows,
    fit: Fit<'_>,
    staging: &Path,
    on_round: &mut OnRound<'_>,
) -> Result<Manifest, Error> {
    let work = Attempt { rows, fit, selections: rows.selections(job)? };
    match job.part {
        Part::Fit => {
            let first = Job { choice: job.choice.or(work.first()), ..job.clone() };
            let parts = rows.read(&first)?;
            if 1 < work.selections.len() && !parts.stopping.is_empty() {
                drop(parts);
                return work.best(job, staging, on_round);
            }
            work.once(&first, &parts, staging, on_round)
        }
        Part::Refit { .. } => {
            let alone = (work.selections.len() == 1).then_some(0);
            let job = Job { choice: job.choice.or(alone), ..job.clone() };
            work.once(&job, &rows.read(&job)?, staging, on_round)
        }
        Part::Whole { rounds } => work.whole(job, rounds, staging, on_round),
    }
}

struct Attempt<'a> {
    rows: &'a dyn ReadRows,
    fit: Fit<'a>,
    selections: Vec<Selection>,
}

impl Attempt<'_> {
    /// Searches as a run does, then trains what was found on all rows, as its refit does.
    fn whole(
        &self,
        job: &Job,
        rounds: usize,
        staging: &Path,
        on_round: &mut OnRound<'_>,
    ) -> Result<Manifest, Error> {
        let search = Job { part: Part::Fit, choice: self.first(), ..job.clone() };
        let refit = |rounds, choice| Job { part: Part::Refit { rounds }, choice, ..job.clone() };
        let several = 1 < self.selections.len();
        let parts = self.rows.read(&search)?;
        if parts.stopping.is_empty() || !(several || job.recipe.engine.searches()) {
            let last = refit(rounds, self.first());
            let made = self.once(&last, &self.rows.read(&last)?, staging, on_round)?;
            // A run would train what is judged too: that settles nothing here, and is counted only.
            let judged = trained(&Manifest { rows: parts.train.len(), ..made.clone() });
            return Ok(Manifest { row_rounds: made.row_rounds + judged, ..made });
        }
        let before = process::own_cpu_seconds();
        let place = fresh(&staging.join("search"))?;
        let mut searching = part_of(on_round, 0.0, 0.5);
        let found = if several {
            self.best(&search, &place, &mut searching)?
        } else {
            self.once(&search, &parts, &place, &mut searching)?
        };
        drop(searching);
        let scorer = Scorer::of(&place, found, std::env::current_exe().ok())?;
        let searched = Searched {
            row_rounds: scorer.manifest().row_rounds,
            chosen_row_rounds: trained(scorer.manifest()),
            loss: mean_loss(&scorer, &job.schema, &parts.stopping)?,
            cpu_seconds: process::own_cpu_seconds() - before,
        };
        let found = scorer.manifest().clone();
        drop((scorer, parts));
        artifact::remove(&place)?;
        let last = refit(found.rounds_added, found.chosen.as_ref().map(|chosen| chosen.at));
        let parts = self.rows.read(&last)?;
        let made = self.once(&last, &parts, staging, &mut part_of(on_round, 0.5, 0.5))?;
        Ok(Manifest {
            stopping_rows: found.stopping_rows,
            metrics: found.metrics,
            chosen: found.chosen,
            row_rounds: found.row_rounds + made.row_rounds,
            searched: Some(searched),
            ..made
        })
    }

    /// What trains where nothing can be chosen.
    fn first(&self) -> Option<usize> {
        (!self.selections.is_empty()).then_some(0)
    }

    /// Trains on each selection, and keeps what does best on the early-stopping rows, which are the same for all.
    fn best(
        &self,
        job: &Job,
        staging: &Path,
        on_round: &mut OnRound<'_>,
    ) -> Result<Manifest, Error> {
        let count = self.selections.len();
        let mut best: Option<(f64, Manifest)> = None;
        let mut losses = Vec::with_capacity(count);
        let mut first_trouble = None;
        let mut row_rounds = 0;
        for at in 0..count {
            let place = fresh(&staging.join(format!("choice-{at}")))?;
            #[expect(clippy::cast_precision_loss, reason = "a few selections")]
            let (start, share) = (at as f64 / count as f64, 1.0 / count as f64);
            let tried = self.choice(job, at, &place, &mut part_of(on_round, start, share));
            match tried {
                Ok((loss, manifest)) => {
                    row_rounds += manifest.row_rounds;
                    losses.push(Some(loss));
                    if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                        best = Some((loss, manifest));
                    }
                }
                // A selection of too few rows, or of one class: the others go on.
                Err(error) if error.retry() == Retry::Permanent => {
                    losses.push(None);
                    first_trouble.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        let Some((_, manifest)) = best else {
            let nothing = Error::NoRows { part: "training".to_owned() };
            return Err(first_trouble.unwrap_or(nothing));
        };
        let at = manifest.chosen.as_ref().map_or(0, |chosen| chosen.at);
        for other in 0..count {
            let place = staging.join(format!("choice-{other}"));
            if other == at {
                lift(&place, staging)?;
            }
            artifact::remove(&place)?;
        }
        let chosen = manifest.chosen.clone().map(|chosen| Chosen { losses, ..chosen });
        Ok(Manifest { chosen, row_rounds, ..manifest })
    }

    /// One selection's model and its mean loss on the early-stopping rows.
    fn choice(
        &self,
        job: &Job,
        at: usize,
        place: &Path,
        on_round: &mut OnRound<'_>,
    ) -> Result<(f64, Manifest), Error> {
        let job = Job { choice: Some(at), ..job.clone() };
        let parts = self.rows.read(&job)?;
        let manifest = self.once(&job, &parts, place, on_round)?;
        let scorer = Scorer::of(place, manifest, std::env::current_exe().ok())?;
        let loss = mean_loss(&scorer, &job.schema, &parts.stopping)?;
        Ok((loss, scorer.manifest().clone()))
    }

    fn once(
        &self,
        job: &Job,
        parts: &Parts,
        staging: &Path,
        on_round: &mut OnRound<'_>,
    ) -> Result<Manifest, Error> {
        let manifest = (self.fit)(job, parts, staging, on_round)?;
        let selected = |at: usize| Some((at, *self.selections.get(at)?));
        let chosen = job.choice.and_then(selected);
        let chosen = chosen.map(|(at, selection)| Chosen { at, selection, losses: Vec::new() });
        let row_rounds = job.row_rounds + trained(&manifest);
        Ok(Manifest { chosen, row_rounds, ..manifest })
    }
}

/// Rows times rounds of one training.
fn trained(manifest: &Manifest) -> u64 {
    manifest.rows as u64 * manifest.rounds_added.max(1) as u64
}

fn mean_loss(scorer: &Scorer, schema: &Schema, rows: &Rows) -> Result<f64, Error> {
    let task = match schema.task {
        Task::Binary => metrics::Task::Binary,
        Task::Multiclass => metrics::Task::Multiclass { classes: schema.classes.len() },
        Task::Regression => metrics::Task::Regression,
    };
    let losses = row_losses(task, &rows.label, &scorer.predict(rows)?);
    #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
    let count = losses.len() as f64;
    Ok(losses.iter().sum::<f64>() / count)
}

/// Tells the rounds of a part of the work as a share of all of it.
fn part_of<'a>(
    on_round: &'a mut OnRound<'_>,
    start: f64,
    share: f64,
) -> impl FnMut(f64) -> ControlFlow<()> + Send + 'a {
    move |done| on_round(start + share * done)
}

fn fresh(place: &Path) -> Result<std::path::PathBuf, Error> {
    artifact::remove(place)?;
    fs::create_dir_all(place).map_err(|error| Error::io("create", place, &error))?;
    Ok(place.to_owned())
}

/// Moves what lies in `place` up into `staging`.
fn lift(place: &Path, staging: &Path) -> Result<(), Error> {
    let read = |error| Error::io("read", place, &error);
    for entry in fs::read_dir(place).map_err(read)? {
        let entry = entry.map_err(read)?;
        let to = staging.join(entry.file_name());
        fs::rename(entry.path(), &to).map_err(|error| Error::io("move", &to, &error))?;
    }
    Ok(())
}
