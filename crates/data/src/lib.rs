//! Rows: windows of Parquet and CSV files, schema, datasets and profiles.
