//! The time that inputs carry: the wall's, or one to try things out by.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use afresh_core::time::{Duration, Timestamp};

/// Where `now` comes from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's time.
    Wall,
    /// Another time, from which on real time passes.
    Since {
        /// What it was when it was set.
        at: Timestamp,
        /// When it was set.
        set: Instant,
    },
}

impl Clock {
    /// A clock that shows `at` now.
    #[must_use]
    pub fn showing(at: Timestamp) -> Clock {
        Clock::Since { at, set: Instant::now() }
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let ms = |passed: std::time::Duration| u64::try_from(passed.as_millis()).unwrap_or(0);
        match self {
            Clock::Wall => {
                // A clock before 1970 shows 1970: the core keeps time from running backwards.
                let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(0).after(Duration(ms(passed)))
            }
            Clock::Since { at, set } => at.after(Duration(ms(set.elapsed()))),
        }
    }
}
