//! A rise of losses that ADWIN saw, and since when it lasts.

use super::adwin::{self, Adwin};

/// A rise of a version's losses since its training.
#[derive(Clone, Debug)]
pub struct Rise {
    window: Adwin,
    taken: u64,
    rose: bool,
    since: Option<u64>,
}

impl Default for Rise {
    fn default() -> Rise {
        let window = Adwin::new(adwin::Parameters::default());
        Rise { window, taken: 0, rose: false, since: None }
    }
}

impl Rise {
    /// Takes losses in order of availability, all of them finite.
    pub fn update_many(&mut self, losses: &[f64]) {
        for loss in losses {
            let before = self.window.estimation();
            self.taken += 1;
            if self.window.update(*loss) {
                let rises = before < self.window.estimation();
                self.rose |= rises;
                // A fall takes back what rose: what came before counts again.
                self.since = rises.then(|| self.taken.saturating_sub(self.window.width()));
            }
        }
    }

    /// It stands as long as the newest mean is above the baseline.
    #[must_use]
    pub fn stands(&self, mean: Option<f64>, baseline: f64) -> bool {
        self.rose && mean.is_some_and(|mean| baseline < mean)
    }

    /// Number of losses before the last rise, as far as ADWIN keeps it; `None` where none rose, or a fall followed.
    #[must_use]
    pub fn since(&self) -> Option<u64> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losses around a mean, without chance.
    fn around(mean: f64, count: u32) -> Vec<f64> {
        (0..count).map(|at| mean + 0.1 * (f64::from(at * 7 % 5) - 2.0)).collect()
    }

    #[test]
    fn rise_is_told_from_about_where_it_began() {
        let mut rise = Rise::default();
        rise.update_many(&around(0.5, 2_000));
        assert_eq!(rise.since(), None);
        rise.update_many(&around(0.9, 500));
        let since = rise.since().unwrap();
        // As exactly as the window's buckets allow.
        assert!((1_900..=2_100).contains(&since), "{since}");
        assert!(rise.stands(Some(0.9), 0.5) && !rise.stands(Some(0.4), 0.5));
    }

    #[test]
    fn fall_after_a_rise_takes_it_back() {
        let mut rise = Rise::default();
        for (mean, count) in [(0.5, 1_000), (0.9, 400), (0.5, 1_000)] {
            rise.update_many(&around(mean, count));
        }
        assert_eq!(rise.since(), None);
        rise.update_many(&around(1.2, 400));
        assert!(rise.since().is_some_and(|since| since >= 2_200));
    }

    #[test]
    fn what_stays_as_it_is_never_rises() {
        let mut rise = Rise::default();
        rise.update_many(&around(0.5, 20_000));
        assert!(rise.since().is_none() && !rise.stands(Some(9.0), 0.5));
    }
}
