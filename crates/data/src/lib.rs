//! Rows: windows of Parquet and CSV files, their schema, the split by availability, and datasets.

pub mod dataset;
pub mod error;
pub mod export;
pub mod rows;
pub mod schema;
pub mod source;
pub mod spec;
pub mod split;

mod build;
mod columnar;
mod csv_file;
mod infer;
mod labels;
mod location;
mod moment;
mod parquet_file;
