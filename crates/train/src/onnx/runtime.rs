//! Finds and loads ONNX Runtime: a shared library of the machine that Afresh does not bring along.

use std::ffi::OsString;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

use crate::library::{self, Pythons};

/// Names the library to load; no other is tried then.
pub(crate) const VARIABLE: &str = "ORT_DYLIB_PATH";

/// Where to look.
#[derive(Clone, Debug)]
struct Places {
    explicit: Option<OsString>,
    pythons: Pythons,
    /// Directories of the system's libraries.
    system: Vec<PathBuf>,
}

/// What the libraries are called, with a version after it.
const FILE: &str = "libonnxruntime.so";
/// Where Linux systems keep libraries.
const SYSTEM: [&str; 6] = [
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/opt/onnxruntime/lib",
];
/// Places that a message lists.
const LISTED_MAX: usize = 8;

/// The runtime of this process, loaded at the first call. `program` is the user's command, in whose
/// Python the runtime is looked for first.
///
/// # Errors
/// Says what was tried, and what to do.
pub(super) fn environment(program: Option<PathBuf>) -> Result<Environment, String> {
    static LOADED: Mutex<Option<Environment>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let environment = load(&Places::of_environment(program))?;
    Ok(loaded.insert(environment).clone())
}

/// Runs code of the binding, which panics where a runtime breaks its own promises.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_panic| Err("ONNX Runtime broke off: is it damaged?".to_owned()))
}

fn load(places: &Places) -> Result<Environment, String> {
    if let Some(path) = &places.explicit {
        let path = Path::new(path);
        return open(path).map_err(|reason| {
            let path = path.display();
            format!("{VARIABLE} names {path}, which {reason}: set it to {FILE} of ONNX Runtime")
        });
    }
    let mut refused = Vec::new();
    for path in places.candidates() {
        match open(&path) {
            Ok(environment) => return Ok(environment),
            Err(reason) => refused.push(format!("{} {reason}", path.display())),
        }
    }
    // By its bare name, the system's loader looks where it is configured to.
    if let Ok(environment) = start(Path::new(FILE)) {
        return Ok(environment);
    }
    Err(places.absent(&refused))
}

impl Places {
    fn of_environment(program: Option<PathBuf>) -> Places {
        Places {
            explicit: std::env::var_os(VARIABLE).filter(|path| !path.is_empty()),
            pythons: Pythons::of_environment(program),
            system: SYSTEM.iter().map(PathBuf::from).collect(),
        }
    }

    /// The libraries that there are, the likeliest first.
    fn candidates(&self) -> Vec<PathBuf> {
        let packages = self.pythons.packages();
        let packages = packages.iter().map(|packages| packages.join("onnxruntime/capi"));
        let directories = packages.chain(self.system.iter().cloned());
        directories.flat_map(|directory| library::starting(&directory, FILE)).collect()
    }

    fn absent(&self, refused: &[String]) -> String {
        let mut parts = vec![format!(
            "it needs ONNX Runtime 1.{} or newer, which was not found: run `pip install \
             onnxruntime` for the Python of the command or on the PATH, or set {VARIABLE} to \
             {FILE}",
            ort::MINOR_VERSION
        )];
        let packages = self.pythons.packages();
        let packages = packages.iter().map(|packages| packages.join("onnxruntime"));
        let looked = packages.chain(self.system.iter().filter(|place| place.is_dir()).cloned());
        let looked = looked.map(|place| place.display().to_string()).collect::<Vec<_>>();
        if !looked.is_empty() {
            let shown = looked.get(..LISTED_MAX).unwrap_or(&looked).join(", ");
            let more = match looked.len().saturating_sub(LISTED_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            parts.push(format!("looked for it in {shown}{more}"));
        }
        parts.extend(refused.iter().cloned());
        parts.join("; ")
    }
}

/// Loads the library at `path`, or says why it is none, with the path as the subject.
fn open(path: &Path) -> Result<Environment, String> {
    library::check(path)?;
    // Loading runs the library's own code, so what its name tells is believed first.
    if let Some(minor) = minor(path).filter(|minor| *minor < ort::MINOR_VERSION) {
        return Err(format!("is version 1.{minor}, but 1.{} is needed", ort::MINOR_VERSION));
    }
    start(path)
}

fn start(path: &Path) -> Result<Environment, String> {
    guarded(|| {
        let builder = ort::init_from(path).map_err(|error| refusal(&error))?;
        let builder = builder.with_name("afresh").with_telemetry(false);
        builder.build().map_err(|error| format!("does not start: {error}"))
    })
}

fn refusal(error: &ort::LoadDynamicError) -> String {
    match error {
        ort::LoadDynamicError::Dlopen { error, .. } => format!("cannot be loaded: {error}"),
        ort::LoadDynamicError::MissingApi { .. } | ort::LoadDynamicError::InvalidVersionString => {
            "is not ONNX Runtime".to_owned()
        }
        ort::LoadDynamicError::BadVersion { version_str, .. } => {
            format!("is version {version_str}, but 1.{} is needed", ort::MINOR_VERSION)
        }
    }
}

/// The 32 of `libonnxruntime.so.1.32.0`.
fn minor(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(FILE)?.strip_prefix(".1.")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn places(explicit: Option<&Path>, home: &Path) -> Places {
        let pythons = Pythons { home: Some(home.to_owned()), ..Pythons::default() };
        let explicit = explicit.map(|path| path.as_os_str().to_owned());
        Places { explicit, pythons, system: vec![home.join("system")] }
    }

    /// A library that every Linux program has loaded.
    fn other_library() -> PathBuf {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        PathBuf::from(paths.into_iter().find(|path| path.contains("libc.so")).unwrap())
    }

    #[test]
    fn a_library_that_is_named_must_be_the_runtime() {
        let dir = TempDir::new().unwrap();
        let text = dir.path().join("libonnxruntime.so");
        fs::write(&text, "x".repeat(100)).unwrap();
        let old = dir.path().join("libonnxruntime.so.1.18.1");
        fs::copy(other_library(), &old).unwrap();
        for (path, told) in [
            (dir.path().join("none.so"), "none.so, which does not exist"),
            (text, "libonnxruntime.so, which is not a 64-bit shared library"),
            (old, "which is version 1.18, but 1.24 is needed"),
            (other_library(), "which is not ONNX Runtime"),
        ] {
            let error = load(&places(Some(&path), dir.path())).unwrap_err();
            assert!(error.starts_with("ORT_DYLIB_PATH names /"), "{error}");
            assert!(error.contains(told), "{error}");
            assert!(error.ends_with(": set it to libonnxruntime.so of ONNX Runtime"), "{error}");
        }
    }

    #[test]
    fn an_absent_runtime_is_told_with_what_to_do_and_where_it_was_looked_for() {
        let dir = TempDir::new().unwrap();
        let capi = dir.path().join(".local/lib/python3.11/site-packages/onnxruntime/capi");
        fs::create_dir_all(&capi).unwrap();
        let system = dir.path().join("system");
        fs::create_dir_all(&system).unwrap();
        fs::write(capi.join("libonnxruntime.so.1.20.0"), "x").unwrap();
        fs::write(system.join("libonnxruntime.so"), "x").unwrap();
        let places = places(None, dir.path());
        let candidates = places.candidates();
        let expected = [capi.join("libonnxruntime.so.1.20.0"), system.join("libonnxruntime.so")];
        assert_eq!(candidates, expected);
        let refused = candidates.iter().map(|path| {
            let reason = open(path).unwrap_err();
            format!("{} {reason}", path.display())
        });
        let told = places.absent(&refused.collect::<Vec<_>>());
        for part in [
            "ONNX Runtime 1.24 or newer, which was not found",
            "`pip install onnxruntime`",
            "set ORT_DYLIB_PATH to libonnxruntime.so",
            "site-packages/onnxruntime, ",
            "/system; ",
            "libonnxruntime.so.1.20.0 is not a shared library",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn a_panic_of_the_binding_is_an_error() {
        let told: Result<(), String> = guarded(|| panic!("as a damaged runtime"));
        assert!(told.unwrap_err().contains("broke off"));
    }
}
