//! What to advise for one model, from one observation per period.
