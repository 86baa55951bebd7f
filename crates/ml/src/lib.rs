//! Pure measures: drift, metrics, comparison of two models. No I/O, no clock, no threads.
