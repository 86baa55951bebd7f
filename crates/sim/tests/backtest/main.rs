//! The contest on histories that are made up, so that what is right is known: which policy should
//! win, that nobody sees ahead, and that nothing is retrained where nothing changes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod contest;
mod stream;
