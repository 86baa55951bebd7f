//! Decisions by example.
