//! The pure decision core: facts fold into state, state says what work is owed.

pub mod time;
pub mod id;
