//! The calls into XGBoost's C interface; safe from outside.
#![expect(unsafe_code, reason = "XGBoost is a C library: there is no other way to call it")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::slice;

use serde_json::json;

use crate::error::Error;
use crate::learner::Labelled;
use crate::library;

/// XGBoost, loaded.
#[derive(Debug)]
pub(super) struct Library {
    functions: Functions,
    /// Keeps the functions where they are.
    _library: libloading::Library,
}

/// Rows that XGBoost holds.
pub(super) struct Table<'a> {
    library: &'a Library,
    handle: Handle,
}

/// A model that XGBoost holds.
pub(super) struct Booster<'a> {
    library: &'a Library,
    handle: Handle,
}

/// Name of the early-stopping rows in what XGBoost writes.
pub(super) const STOPPING: &str = "stopping";
/// The oldest version whose interface and files are known.
const MAJOR_MIN: c_int = 2;

type Handle = *mut c_void;

macro_rules! functions {
    ($($field:ident: $name:literal ($($argument:ty),*);)*) => {
        #[derive(Debug)]
        struct Functions {
            last_error: unsafe extern "C" fn() -> *const c_char,
            version: unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int),
            $($field: unsafe extern "C" fn($($argument),*) -> c_int,)*
        }

        impl Functions {
            /// The functions, or the name of the first that is missing.
            fn of(library: &libloading::Library) -> Result<Functions, &'static str> {
                // SAFETY: the types are those of XGBoost's `c_api.h` since 2.0, and every library
                // without `XGBoostVersion` is refused before any of them is called.
                unsafe {
                    Ok(Functions {
                        version: *library
                            .get(b"XGBoostVersion\0")
                            .map_err(|_missing| "XGBoostVersion")?,
                        last_error: *library
                            .get(b"XGBGetLastError\0")
                            .map_err(|_missing| "XGBGetLastError")?,
                        $($field: *library
                            .get(concat!($name, "\0").as_bytes())
                            .map_err(|_missing| $name)?,)*
                    })
                }
            }
        }
    };
}

functions! {
    table_from_dense: "XGDMatrixCreateFromDense" (*const c_char, *const c_char, *mut Handle);
    table_set: "XGDMatrixSetInfoFromInterface" (Handle, *const c_char, *const c_char);
    table_set_texts: "XGDMatrixSetStrFeatureInfo"
        (Handle, *const c_char, *const *const c_char, u64);
    table_free: "XGDMatrixFree" (Handle);
    booster_create: "XGBoosterCreate" (*const Handle, u64, *mut Handle);
    booster_free: "XGBoosterFree" (Handle);
    booster_set: "XGBoosterSetParam" (Handle, *const c_char, *const c_char);
    booster_update: "XGBoosterUpdateOneIter" (Handle, c_int, Handle);
    booster_evaluate: "XGBoosterEvalOneIter"
        (Handle, c_int, *mut Handle, *mut *const c_char, u64, *mut *const c_char);
    booster_load: "XGBoosterLoadModelFromBuffer" (Handle, *const c_void, u64);
    booster_save: "XGBoosterSaveModelToBuffer"
        (Handle, *const c_char, *mut u64, *mut *const c_char);
    booster_slice: "XGBoosterSlice" (Handle, c_int, c_int, c_int, *mut Handle);
}

impl Library {
    /// Loads the library at `path`, in place: it needs its neighbours by relative paths.
    pub(super) fn open(path: &Path) -> Result<Library, Error> {
        let refuse = |reason: String| Error::Library { path: path.display().to_string(), reason };
        library::check(path)
            .map_err(|reason| refuse(format!("{reason}: set XGBOOST_LIB to XGBoost's library")))?;
        // A path without a slash would be searched for among the system's libraries.
        let absolute = std::path::absolute(path).map_err(|error| refuse(error.to_string()))?;
        // SAFETY: loading runs the library's initialisers. It is the one that the user named or
        // installed, in a process that is there for this training alone.
        let library = unsafe { libloading::Library::new(&absolute) };
        let library = library.map_err(|error| refuse(format!("cannot be loaded: {error}")))?;
        let functions = Functions::of(&library)
            .map_err(|name| refuse(format!("is not XGBoost: it has no `{name}`")))?;
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        // SAFETY: three places for numbers are all it takes.
        unsafe { (functions.version)(&raw mut major, &raw mut minor, &raw mut patch) };
        if major < MAJOR_MIN {
            return Err(refuse(format!(
                "is XGBoost {major}.{minor}.{patch}: install {MAJOR_MIN}.0 or newer"
            )));
        }
        Ok(Library { functions, _library: library })
    }

    /// An error where a call did not return 0.
    fn check(&self, action: &str, code: c_int) -> Result<(), Error> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: it gives a text of this thread that stays until the next call.
        let message = unsafe { CStr::from_ptr((self.functions.last_error)()) };
        let message = message.to_string_lossy();
        // What follows the first line is where in its source it was thrown.
        let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines = lines.take_while(|line| !line.starts_with("Stack trace")).collect::<Vec<_>>();
        Err(Error::Engine { action: format!("{action} with XGBoost"), message: lines.join(" ") })
    }
}

impl<'a> Table<'a> {
    /// Copies rows into XGBoost.
    pub(super) fn new(
        library: &'a Library,
        labelled: &Labelled,
        threads: usize,
    ) -> Result<Table<'a>, Error> {
        let matrix = &labelled.matrix;
        let columns = matrix.native.len();
        let values = text(&array(&matrix.values, &[matrix.rows, columns]))?;
        let config = text(&format!("{{\"missing\": NaN, \"nthread\": {threads}}}"))?;
        let mut handle = null_mut();
        let functions = &library.functions;
        // SAFETY: the text describes `matrix.values`, which outlive the call; XGBoost copies them.
        let code = unsafe {
            (functions.table_from_dense)(values.as_ptr(), config.as_ptr(), &raw mut handle)
        };
        library.check("take the rows", code)?;
        let table = Table { library, handle };
        table.set("label", &labelled.labels)?;
        if let Some(weights) = &labelled.weights {
            table.set("weight", weights)?;
        }
        if matrix.native.contains(&true) {
            let kinds = matrix.native.iter().map(|native| if *native { c"c" } else { c"q" });
            let kinds = kinds.map(CStr::as_ptr).collect::<Vec<_>>();
            // SAFETY: as many texts as said, which live for ever.
            let code = unsafe {
                let name = c"feature_type".as_ptr();
                (functions.table_set_texts)(table.handle, name, kinds.as_ptr(), kinds.len() as u64)
            };
            library.check("take the kinds of columns", code)?;
        }
        Ok(table)
    }

    fn set(&self, name: &str, values: &[f32]) -> Result<(), Error> {
        let (name, values) = (text(name)?, text(&array(values, &[values.len()]))?);
        // SAFETY: the text describes `values`, which outlive the call; XGBoost copies them.
        let code = unsafe {
            (self.library.functions.table_set)(self.handle, name.as_ptr(), values.as_ptr())
        };
        self.library.check("take the labels and weights", code)
    }
}

impl<'a> Booster<'a> {
    /// A model without trees for these rows.
    pub(super) fn new(
        library: &'a Library,
        train: &Table<'_>,
        stopping: Option<&Table<'_>>,
    ) -> Result<Booster<'a>, Error> {
        let tables = [Some(train), stopping];
        let tables = tables.iter().flatten().map(|table| table.handle).collect::<Vec<_>>();
        let mut handle = null_mut();
        // SAFETY: as many handles as said, all of them alive.
        let code = unsafe {
            let create = library.functions.booster_create;
            create(tables.as_ptr(), tables.len() as u64, &raw mut handle)
        };
        library.check("make a model", code)?;
        Ok(Booster { library, handle })
    }

    /// Sets a parameter by XGBoost's name.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let (key, value) = (text(name)?, text(value)?);
        let set = self.library.functions.booster_set;
        // SAFETY: two texts, which XGBoost copies.
        let code = unsafe { set(self.handle, key.as_ptr(), value.as_ptr()) };
        self.library.check(&format!("set `{name}`"), code)
    }

    /// Takes over a model's file.
    pub(super) fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let load = self.library.functions.booster_load;
        // SAFETY: as many bytes as said, which XGBoost copies.
        let code = unsafe { load(self.handle, bytes.as_ptr().cast(), bytes.len() as u64) };
        self.library.check("read the champion", code)
    }

    /// Adds round `round`, from 0.
    pub(super) fn update(&mut self, round: usize, train: &Table<'_>) -> Result<(), Error> {
        let update = self.library.functions.booster_update;
        // SAFETY: both handles are alive.
        let code = unsafe { update(self.handle, number(round), train.handle) };
        self.library.check("train", code)
    }

    /// XGBoost's line of metrics.
    pub(super) fn evaluate(&mut self, round: usize, rows: &Table<'_>) -> Result<String, Error> {
        let name = text(STOPPING)?;
        let (mut tables, mut names) = ([rows.handle], [name.as_ptr()]);
        let mut line = null();
        let evaluate = self.library.functions.booster_evaluate;
        // SAFETY: one table with one name; the line is XGBoost's and stays until the next call.
        let (code, line) = unsafe {
            let (tables, names) = (tables.as_mut_ptr(), names.as_mut_ptr());
            let code = evaluate(self.handle, number(round), tables, names, 1, &raw mut line);
            (code, (code == 0).then(|| CStr::from_ptr(line).to_string_lossy().into_owned()))
        };
        self.library.check("score the early-stopping rows", code)?;
        Ok(line.unwrap_or_default())
    }

    /// The model's file, with the first `rounds` rounds or with all.
    pub(super) fn save(&mut self, rounds: Option<usize>) -> Result<Vec<u8>, Error> {
        if let Some(rounds) = rounds {
            let mut handle = null_mut();
            let slice = self.library.functions.booster_slice;
            // SAFETY: the handle is alive; the new one is owned by the booster that follows.
            let code = unsafe { slice(self.handle, 0, number(rounds), 1, &raw mut handle) };
            self.library.check("cut the model", code)?;
            return Booster { library: self.library, handle }.save(None);
        }
        let config = text(&json!({ "format": "ubj" }).to_string())?;
        let (mut length, mut start) = (0, null());
        let save = self.library.functions.booster_save;
        // SAFETY: the bytes are XGBoost's, as many as it says, and stay until the next call.
        let (code, bytes) = unsafe {
            let code = save(self.handle, config.as_ptr(), &raw mut length, &raw mut start);
            let length = usize::try_from(length).unwrap_or(0);
            let written = code == 0 && !start.is_null();
            let bytes = written.then(|| slice::from_raw_parts(start.cast::<u8>(), length).to_vec());
            (code, bytes)
        };
        self.library.check("write the model", code)?;
        Ok(bytes.unwrap_or_default())
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is this table's alone. There is nothing to do where freeing fails.
        unsafe { (self.library.functions.table_free)(self.handle) };
    }
}

impl Drop for Booster<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is this booster's alone. There is nothing to do where freeing fails.
        unsafe { (self.library.functions.booster_free)(self.handle) };
    }
}

/// NumPy's description of an array in memory, as XGBoost takes it.
fn array(values: &[f32], shape: &[usize]) -> String {
    let kind = if cfg!(target_endian = "big") { ">f4" } else { "<f4" };
    // An empty array has no address that XGBoost would take.
    let address = values.as_ptr() as usize;
    json!({ "data": [address, true], "shape": shape, "typestr": kind, "version": 3 }).to_string()
}

/// A text as C has it.
fn text(text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|error| Error::Engine {
        action: "hand a text to XGBoost".to_owned(),
        message: error.to_string(),
    })
}

/// A round as C has it; a model has far fewer than 2^31.
fn number(round: usize) -> c_int {
    c_int::try_from(round).unwrap_or(c_int::MAX)
}
