//! Rows: windows of Parquet and CSV files, their schema, the split by availability, and datasets.

pub mod dataset;
pub mod error;
pub mod export;
pub mod key;
pub mod place;
pub mod predictions;
pub mod remote;
pub mod rows;
pub mod schema;
pub mod selection;
pub mod source;
pub mod spec;
pub mod split;
pub mod table;

mod build;
mod columnar;
mod csv_file;
mod growing;
mod infer;
mod labels;
mod location;
mod moment;
mod origin;
mod parquet_file;

#[cfg(test)]
mod bad_input_tests;
#[cfg(test)]
mod dataset_tests;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod split_tests;
#[cfg(test)]
mod testing;
