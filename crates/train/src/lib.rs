//! Trainers, scorers and the artifact format.
