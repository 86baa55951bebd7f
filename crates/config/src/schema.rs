//! The JSON Schema of `afresh.toml`, for editors' completion.

use serde_json::json;

use crate::key::Key;
use crate::section::Root;

/// The JSON Schema (draft 2020-12) as indented text.
#[must_use]
pub fn schema() -> String {
    let mut schema = Root::schema();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("afresh.toml");
    format!("{schema:#}\n")
}
