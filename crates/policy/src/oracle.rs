//! The best that hindsight allows: when to retrain and on how much data, by an exact dynamic
//! programme over every schedule there is.
//!
//! V(t, m) = min(keep m through t + V(t + 1, m), min over windows w of retrain at t on w + V(t + 1,
//! (t, w))), from the last period back (Bellman 1957). Time grows with periods² × windows², memory
//! with periods² × windows.

use serde::{Deserialize, Serialize};

/// What serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Serving {
    /// The champion at the start.
    First,
    /// A version trained at the beginning of a period.
    Trained {
        /// The period, counted from 0.
        period: usize,
        /// Position of its training window in the grid.
        window: usize,
    },
}

/// What is done at the beginning of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// What serves goes on serving.
    Keep,
    /// A version is trained on this window of the grid.
    Retrain {
        /// Its position in the grid.
        window: usize,
    },
}

/// A history whose every price is known.
pub trait Hindsight {
    /// Number of periods.
    fn periods(&self) -> usize;

    /// Number of training windows in the grid.
    fn windows(&self) -> usize;

    /// What `period` costs if `serving`, which is older, serves all of it.
    fn keep(&self, serving: Serving, period: usize) -> f64;

    /// What `period` costs if at its beginning a version is trained on `window` while `serving`
    /// serves: the training, the loss until the new version serves, and its own loss from then on.
    /// `None` where no version can be trained.
    fn retrain(&self, serving: Serving, period: usize, window: usize) -> Option<f64>;
}

/// A schedule and its cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// In the unit of the history's prices.
    pub cost: f64,
    /// One choice per period.
    pub choices: Vec<Choice>,
}

/// A price that is not a number of at least 0.
#[derive(Clone, Debug, PartialEq)]
pub struct WrongPrice {
    /// The period, counted from 0.
    pub period: usize,
    /// The price.
    pub price: f64,
}

/// The cheapest schedule. Among equals it keeps, else it takes the first window of the grid.
pub fn best(history: &impl Hindsight) -> Result<Plan, WrongPrice> {
    let (periods, windows) = (history.periods(), history.windows());
    let models = 1 + periods * windows;
    // Cost from a period on, by what serves when it begins.
    let mut ahead = vec![0.0; models];
    let servings = (0..models).map(|place| serving(place, windows)).collect::<Vec<_>>();
    let mut choices: Vec<Vec<u16>> = vec![Vec::new(); periods];
    for period in (0..periods).rev() {
        let older = 1 + period * windows;
        let mut row = vec![KEEP; older];
        // What is newer is not asked for again once this period is decided.
        let (now, new) = ahead.split_at_mut(older);
        let states = servings[..older].iter().zip(&mut row).zip(now);
        for ((serving, chosen), cost) in states {
            *cost += checked(history.keep(*serving, period), period)?;
            for (window, after) in new.iter().enumerate().take(windows) {
                let Some(price) = history.retrain(*serving, period, window) else { continue };
                let total = checked(price, period)? + after;
                if total < *cost {
                    (*cost, *chosen) = (total, code(window));
                }
            }
        }
        choices[period] = row;
    }
    let mut from = 0;
    let choices = choices.iter().enumerate().map(|(period, row)| match window(row[from]) {
        None => Choice::Keep,
        Some(window) => {
            from = 1 + period * windows + window;
            Choice::Retrain { window }
        }
    });
    Ok(Plan { choices: choices.collect(), cost: ahead[0] })
}

/// The cheapest schedule with at most `runs` retrainings; what [`best`] finds where it has no more.
pub fn best_within(history: &impl Hindsight, runs: usize) -> Result<Plan, WrongPrice> {
    let free = best(history)?;
    if free.runs() <= runs {
        return Ok(free);
    }
    let (periods, windows) = (history.periods(), history.windows());
    let layers = runs + 1;
    // `ahead[left][from]`: cost from a period on with so many retrainings left.
    let mut ahead = vec![vec![0.0; 1 + periods * windows]; layers];
    let mut choices: Vec<Vec<Vec<u16>>> = vec![Vec::new(); periods];
    for period in (0..periods).rev() {
        let older = 1 + period * windows;
        let mut rows = vec![vec![KEEP; older]; layers];
        let mut now = vec![vec![0.0; older]; layers];
        for from in 0..older {
            let serving = serving(from, windows);
            let keep = checked(history.keep(serving, period), period)?;
            for left in 0..layers {
                now[left][from] = keep + ahead[left][from];
            }
            for window in 0..windows {
                let Some(price) = history.retrain(serving, period, window) else { continue };
                let price = checked(price, period)?;
                for left in 1..layers {
                    let total = price + ahead[left - 1][older + window];
                    if total < now[left][from] {
                        (now[left][from], rows[left][from]) = (total, code(window));
                    }
                }
            }
        }
        ahead = now;
        choices[period] = rows;
    }
    let (mut from, mut left) = (0, runs);
    let choices = choices.iter().enumerate().map(|(period, rows)| match window(rows[left][from]) {
        None => Choice::Keep,
        Some(window) => {
            from = 1 + period * windows + window;
            left -= 1;
            Choice::Retrain { window }
        }
    });
    Ok(Plan { choices: choices.collect(), cost: ahead[runs][0] })
}

/// What a given schedule costs. A retraining that is not possible costs what keeping does: it
/// fails, and what serves goes on.
pub fn cost_of(history: &impl Hindsight, choices: &[Choice]) -> Result<f64, WrongPrice> {
    let mut serving = Serving::First;
    let mut cost = 0.0;
    for (period, choice) in choices.iter().enumerate().take(history.periods()) {
        let retrained = match *choice {
            Choice::Keep => None,
            Choice::Retrain { window } => {
                history.retrain(serving, period, window).map(|price| (price, window))
            }
        };
        cost += match retrained {
            None => checked(history.keep(serving, period), period)?,
            Some((price, window)) => {
                serving = Serving::Trained { period, window };
                checked(price, period)?
            }
        };
    }
    Ok(cost)
}

impl Plan {
    /// Number of retrainings.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.choices.iter().filter(|choice| matches!(choice, Choice::Retrain { .. })).count()
    }
}

impl std::fmt::Display for WrongPrice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let WrongPrice { period, price } = self;
        write!(f, "period {period} costs {price}: a cost is a number of at least 0")
    }
}

impl std::error::Error for WrongPrice {}

const KEEP: u16 = 0;

/// A choice in two bytes; 0 keeps.
fn code(window: usize) -> u16 {
    u16::try_from(window + 1).unwrap_or(u16::MAX)
}

fn window(code: u16) -> Option<usize> {
    usize::from(code).checked_sub(1)
}

/// What serves at a place of the table: first the champion at the start, then period by period.
fn serving(place: usize, windows: usize) -> Serving {
    match place.checked_sub(1) {
        None => Serving::First,
        Some(place) => Serving::Trained { period: place / windows, window: place % windows },
    }
}

fn checked(price: f64, period: usize) -> Result<f64, WrongPrice> {
    if price.is_finite() && price >= 0.0 { Ok(price) } else { Err(WrongPrice { period, price }) }
}
