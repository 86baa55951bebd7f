//! Which rows train, stop and judge: split by when labels became available, never at random.

use std::ops::Range;

use afresh_core::time::{Duration, Timestamp, Window};
use serde::{Deserialize, Serialize};

use crate::rows::Rows;

/// How much is held out. The early-stopping slice obeys the same lengths and shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Rows made available in this last stretch are held out: one period.
    pub holdout_length: Duration,
    /// At least so many rows are held out.
    pub holdout_rows_min: usize,
    /// But never more than this share of the rows; it goes before both.
    pub holdout_share_max: f64,
    /// As `holdout_length`, of the rows before the holdout.
    pub stopping_length: Duration,
    /// As `holdout_rows_min`.
    pub stopping_rows_min: usize,
    /// As `holdout_share_max`, of the rows before the holdout.
    pub stopping_share_max: f64,
    /// With fewer rows to judge by, or to train on, there is no split.
    pub rows_least: usize,
}

/// Where the slices begin, by availability: all that is needed to split the same rows again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cuts {
    /// First instant of early stopping; everything before it trains.
    pub stopping_from: Timestamp,
    /// First instant of the holdout.
    pub holdout_from: Timestamp,
    /// Rows available at or after this are not used.
    pub as_of: Timestamp,
}

/// A slice of the rows of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Fits the trees.
    Train,
    /// Says when to stop.
    Stopping,
    /// Judges; no trainer sees it.
    Holdout,
    /// All three: what a refit trains on.
    Fit,
}

/// Rows of each part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that train.
    pub train: u64,
    /// Rows that say when to stop.
    pub stopping: u64,
    /// Rows that judge.
    pub holdout: u64,
}

/// A split of rows, as positions in them, each in order of event time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Where the slices begin.
    pub cuts: Cuts,
    /// Rows that train.
    pub train: Vec<usize>,
    /// Rows that say when to stop.
    pub stopping: Vec<usize>,
    /// Rows that judge.
    pub holdout: Vec<usize>,
}

/// Rows that cannot be split.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The window has no length.
    #[error("the window {window} is empty")]
    EmptyWindow {
        /// The window.
        window: Window,
    },
    /// No row lies in the window.
    #[error("no row has its event in the window {window}")]
    NoRows {
        /// The window.
        window: Window,
    },
    /// There are rows, but none may be used yet.
    #[error("none of the {rows} rows of the window {window} has a label available before {as_of}")]
    NoneAvailable {
        /// The window.
        window: Window,
        /// Rows in it.
        rows: usize,
        /// When it was asked.
        as_of: Timestamp,
    },
    /// Too little was made available since the champion was trained, or at all.
    #[error(
        "{rows} rows to judge by, fewer than {least}: {available} are available in all, held out \
         are those available from {from} on"
    )]
    FewToJudge {
        /// Rows of the holdout.
        rows: usize,
        /// Rows it needs.
        least: usize,
        /// All rows that may be used.
        available: usize,
        /// Where the holdout would begin; never before the champion's cut.
        from: Timestamp,
    },
    /// Too little is left to train on.
    #[error("{rows} rows to train on, fewer than {least}: {available} are available in all")]
    FewToTrain {
        /// Rows that would train or say when to stop.
        rows: usize,
        /// Rows it needs.
        least: usize,
        /// All rows that may be used.
        available: usize,
    },
    /// All labels of a part are the same.
    #[error("every one of the {rows} rows of the {part} has the same label, class {label}")]
    OneClass {
        /// `holdout` or `training slice`.
        part: &'static str,
        /// Its rows.
        rows: usize,
        /// The label: a class index, or a value in regression.
        label: f64,
    },
}

impl Rule {
    /// The recommended rule: one `period`, 2,000 rows, at most a fifth, at least 100 rows.
    #[must_use]
    pub fn new(period: Duration) -> Rule {
        Rule {
            holdout_length: period,
            holdout_rows_min: 2_000,
            holdout_share_max: 0.20,
            stopping_length: period,
            stopping_rows_min: 2_000,
            stopping_share_max: 0.20,
            rows_least: 100,
        }
    }
}

impl Cuts {
    /// Availability of a part, half-open.
    #[must_use]
    pub fn range(&self, part: Part) -> Range<Timestamp> {
        match part {
            Part::Train => Timestamp::MIN..self.stopping_from,
            Part::Stopping => self.stopping_from..self.holdout_from,
            Part::Holdout => self.holdout_from..self.as_of,
            Part::Fit => Timestamp::MIN..self.as_of,
        }
    }
}

impl Split {
    /// Rows of each part.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            train: self.train.len() as u64,
            stopping: self.stopping.len() as u64,
            holdout: self.holdout.len() as u64,
        }
    }
}

/// Splits the rows of `window` whose label was available before `as_of`. The holdout is the newest
/// by availability and holds no row available before `champion_cut`, for the champion may have been
/// trained, selected or refit on it. Rows available at one instant stay together, so a slice may be
/// smaller than the rule asks, never larger than its share.
pub fn split(
    rows: &Rows,
    window: Window,
    as_of: Timestamp,
    champion_cut: Option<Timestamp>,
    rule: &Rule,
) -> Result<Split, Error> {
    if window.is_empty() {
        return Err(Error::EmptyWindow { window });
    }
    let range = rows.range(window);
    if range.is_empty() {
        return Err(Error::NoRows { window });
    }
    let within = range.len();
    let mut order = rows.available_at[range].iter().flatten().copied().collect::<Vec<_>>();
    order.retain(|available| *available < as_of);
    order.sort_unstable();
    if order.is_empty() {
        return Err(Error::NoneAvailable { window, rows: within, as_of });
    }
    let newest = Newest {
        length: rule.holdout_length,
        rows_min: rule.holdout_rows_min,
        share_max: rule.holdout_share_max,
    };
    let available = order.len();
    let holdout_from = newest.from(&order, as_of).max(champion_cut.unwrap_or(Timestamp::MIN));
    let before = order.partition_point(|at| *at < holdout_from);
    if available - before < rule.rows_least.max(1) {
        let (rows, least) = (available - before, rule.rows_least.max(1));
        return Err(Error::FewToJudge { rows, least, available, from: holdout_from });
    }
    if before < rule.rows_least.max(2) {
        let least = rule.rows_least.max(2);
        return Err(Error::FewToTrain { rows: before, least, available });
    }
    let newest = Newest {
        length: rule.stopping_length,
        rows_min: rule.stopping_rows_min,
        share_max: rule.stopping_share_max,
    };
    let stopping_from = newest.from(&order[..before], holdout_from);
    let cuts = Cuts { stopping_from, holdout_from, as_of };
    let part = |part| positions(rows, window, &cuts, part);
    let split = Split {
        cuts,
        train: part(Part::Train),
        stopping: part(Part::Stopping),
        holdout: part(Part::Holdout),
    };
    if split.train.is_empty() {
        return Err(Error::FewToTrain { rows: 0, least: rule.rows_least, available });
    }
    for (part, positions) in [("holdout", &split.holdout), ("training slice", &split.train)] {
        let first = rows.label[positions[0]];
        if positions.iter().all(|at| rows.label[*at].to_bits() == first.to_bits()) {
            return Err(Error::OneClass { part, rows: positions.len(), label: first });
        }
    }
    Ok(split)
}

/// Cuts of a training without a gate: nothing is held out, and the newest rows say when to stop, unless too few would be left to
/// train on.
#[must_use]
pub fn without_holdout(rows: &Rows, window: Window, as_of: Timestamp, rule: &Rule) -> Cuts {
    let mut order =
        rows.available_at[rows.range(window)].iter().flatten().copied().collect::<Vec<_>>();
    order.retain(|available| *available < as_of);
    order.sort_unstable();
    let newest = Newest {
        length: rule.stopping_length,
        rows_min: rule.stopping_rows_min,
        share_max: rule.stopping_share_max,
    };
    let from = newest.from(&order, as_of);
    let before = order.partition_point(|at| *at < from);
    let stopping_from = if before < rule.rows_least.max(2) { as_of } else { from };
    Cuts { stopping_from, holdout_from: as_of, as_of }
}

/// Positions of a part's rows, in order of event time: the same for the same rows and cuts,
/// wherever they are taken.
#[must_use]
pub fn positions(rows: &Rows, window: Window, cuts: &Cuts, part: Part) -> Vec<usize> {
    let available = cuts.range(part);
    rows.range(window)
        .filter(|at| rows.available_at[*at].is_some_and(|at| available.contains(&at)))
        .collect()
}

/// The newest slice of rows ordered by availability.
struct Newest {
    length: Duration,
    rows_min: usize,
    share_max: f64,
}

impl Newest {
    /// Where the slice begins among `order`, which ends before `end`; `end` where it is empty.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a row count is a row count"
    )]
    fn from(&self, order: &[Timestamp], end: Timestamp) -> Timestamp {
        let recent = order.len() - order.partition_point(|at| *at < end.before(self.length));
        let most = (order.len() as f64 * self.share_max.clamp(0.0, 1.0)) as usize;
        let taken = recent.max(self.rows_min).min(most);
        let start = order.len() - taken;
        let Some(from) = order.get(start).copied() else { return end };
        if start > 0 && order[start - 1] == from {
            // The instant does not fit whole: begin at the next one.
            let next = order.partition_point(|at| *at <= from);
            return order.get(next).copied().unwrap_or(end);
        }
        from
    }
}
