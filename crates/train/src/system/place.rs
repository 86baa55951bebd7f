//! Where XGBoost's library is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Error;

/// Variables that say where the library, or the Python with it, is; a training's process gets those that are set.
pub(crate) const VARIABLES: [&str; 3] = ["XGBOOST_LIB", "PYTHONPATH", "LD_LIBRARY_PATH"];

/// Prints the directory of Python's `xgboost` without importing it, which would load numpy and more.
const SCRIPT: &str = "import importlib.util as u\ns = u.find_spec('xgboost')\n\
                      print(list(s.submodule_search_locations)[0] if s else '')";

/// The file that `XGBOOST_LIB` names, else the one inside Python's `xgboost` (also installed as `xgboost-cpu`).
pub(super) fn find() -> Result<PathBuf, Error> {
    if let Some(named) = std::env::var_os("XGBOOST_LIB").filter(|named| !named.is_empty()) {
        return Ok(PathBuf::from(named));
    }
    ["python3", "python"].iter().find_map(|python| inside(OsStr::new(python))).ok_or_else(|| {
        Error::Library {
            path: "libxgboost.so".to_owned(),
            reason: "was not found: set XGBOOST_LIB to its path, or install it with \
                     `pip install xgboost`"
                .to_owned(),
        }
    })
}

/// The library of a Python's `xgboost`, if it has it.
fn inside(python: &OsStr) -> Option<PathBuf> {
    let said = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let directory = String::from_utf8(said.stdout).ok()?;
    let directory = Path::new(directory.trim());
    let file = directory.join("lib").join("libxgboost.so");
    (directory.is_absolute() && file.is_file()).then_some(file)
}
