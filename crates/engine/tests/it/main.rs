//! The engine with real rows and real trainings, on small generated histories.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    clippy::float_cmp,
    reason = "helpers of tests fail where they stand, and name only what they look for"
)]

mod bench;
mod judging;
mod machine;
mod monitor;
mod runs;
mod windows;
