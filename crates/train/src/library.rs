//! Shared libraries that come with Python's packages: where they lie, and whether a file is one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// From where Pythons are looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pythons {
    /// A program that may be one, or lie beside one.
    pub(crate) program: Option<PathBuf>,
    pub(crate) virtual_env: Option<PathBuf>,
    pub(crate) path: Option<OsString>,
    pub(crate) home: Option<PathBuf>,
}

/// Variables that a step needs in order to find the libraries that its parent finds.
pub(crate) const VARIABLES: [&str; 3] = ["HOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV"];

/// Most program headers that a library is believed to have.
const HEADERS_MAX: u16 = 256;

impl Pythons {
    /// The Python that runs `program`, the active one, those on the `PATH`, and the user's packages.
    pub(crate) fn of_environment(program: Option<PathBuf>) -> Pythons {
        let directory = |name| std::env::var_os(name).map(PathBuf::from);
        Pythons {
            program,
            virtual_env: directory("VIRTUAL_ENV"),
            path: std::env::var_os("PATH"),
            home: directory("HOME"),
        }
    }

    /// The directories of packages that there are, the likeliest first.
    pub(crate) fn packages(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut add = |prefix: &Path| {
            for directory in packages_below(prefix) {
                if !found.contains(&directory) {
                    found.push(directory);
                }
            }
        };
        if let Some(prefix) = self.program.as_deref().and_then(prefix) {
            add(prefix);
        }
        if let Some(environment) = &self.virtual_env {
            add(environment);
        }
        let path = self.path.as_deref().map(std::env::split_paths);
        for directory in path.into_iter().flatten() {
            let program = ["python3", "python"].map(|name| directory.join(name));
            let Some(program) = program.into_iter().find(|program| program.is_file()) else {
                continue;
            };
            let Some(prefix) = prefix(&program) else { continue };
            add(prefix);
            // Shims of pyenv stand beside the versions that they choose among.
            for version in sorted(&prefix.join("versions")) {
                add(&version);
            }
            if prefix == Path::new("/usr") {
                add(Path::new("/usr/local"));
            }
        }
        if let Some(home) = &self.home {
            add(&home.join(".local"));
        }
        found
    }
}

/// The files in `directory` whose names begin with `start`, the last in order of names first: of
/// several versions the newest.
pub(crate) fn starting(directory: &Path, start: &str) -> Vec<PathBuf> {
    let mut files = sorted(directory);
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(start) && file.is_file()
    });
    files.reverse();
    files
}

/// Whether `path` is a whole 64-bit ELF file. Loading anything else may fail, hang (a pipe) or
/// crash (a file that was cut off).
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| {
        let absent = error.kind() == std::io::ErrorKind::NotFound;
        if absent { "does not exist".to_owned() } else { error.to_string() }
    })?;
    if !metadata.is_file() {
        return Err("is not a file".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let no_library = |_short| "is not a shared library".to_owned();
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).map_err(no_library)?;
    if !header.starts_with(b"\x7fELF\x02") {
        return Err("is not a 64-bit shared library".to_owned());
    }
    // ELF-64: offset of the program headers at 32, their size at 54, their number at 56; in each
    // its kind at 0, the place of its bytes at 8 and their number at 32. Kind 1 is loaded.
    let (start, size) = (number(&header[32..40]), number(&header[54..56]));
    let count = number(&header[56..58]);
    if count > u64::from(HEADERS_MAX) {
        return Err("is not a shared library".to_owned());
    }
    for at in 0..count {
        let mut entry = [0; 56];
        let place = start.saturating_add(at * size);
        file.read_exact_at(&mut entry, place).map_err(|_short| "is cut off".to_owned())?;
        let end = number(&entry[8..16]).saturating_add(number(&entry[32..40]));
        if number(&entry[..4]) == 1 && metadata.len() < end {
            return Err(format!("is cut off: {} of {end} bytes", metadata.len()));
        }
    }
    Ok(())
}

/// The directory above that of a program: `/usr` of `/usr/bin/python3`.
fn prefix(program: &Path) -> Option<&Path> {
    program.parent()?.parent().filter(|prefix| !prefix.as_os_str().is_empty())
}

fn packages_below(prefix: &Path) -> Vec<PathBuf> {
    let pythons = ["lib", "lib64"].into_iter().flat_map(|lib| {
        let mut pythons = sorted(&prefix.join(lib));
        pythons.retain(|directory| {
            let name = directory.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with("python3")
        });
        pythons.reverse();
        pythons
    });
    pythons
        .flat_map(|python| ["site-packages", "dist-packages"].map(|name| python.join(name)))
        .filter(|directory| directory.is_dir())
        .collect()
}

/// What is in a directory, by name with 3.9 before 3.12; nothing where it cannot be listed.
fn sorted(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut paths = entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    paths.sort_by_cached_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let numbers = name.split(|letter: char| !letter.is_ascii_digit());
        (numbers.filter_map(|number| number.parse::<u64>().ok()).collect::<Vec<_>>(), name)
    });
    paths
}

/// Little-endian.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn packages_of_the_command_come_before_those_of_the_environment_and_the_path() {
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["own", "active", "shims/versions/3.12.1", "home/.local"] {
            fs::create_dir_all(at(name).join("lib/python3.12/site-packages")).unwrap();
        }
        fs::create_dir_all(at("own/lib/python3.9/site-packages")).unwrap();
        touch(&at("shims/bin/python3"));
        let pythons = Pythons {
            program: Some(at("own/bin/python")),
            virtual_env: Some(at("active")),
            path: Some(std::env::join_paths([at("none"), at("shims/bin")]).unwrap()),
            home: Some(at("home")),
        };
        let found = pythons.packages();
        let found = found.iter().map(|path| path.strip_prefix(dir.path()).unwrap().to_str());
        let expected = [
            "own/lib/python3.12/site-packages",
            "own/lib/python3.9/site-packages",
            "active/lib/python3.12/site-packages",
            "shims/versions/3.12.1/lib/python3.12/site-packages",
            "home/.local/lib/python3.12/site-packages",
        ];
        assert_eq!(found.map(Option::unwrap).collect::<Vec<_>>(), expected);
        assert_eq!(Pythons::default().packages(), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_is_no_whole_library_is_told_before_it_is_loaded() {
        let dir = TempDir::new().unwrap();
        let own = std::env::current_exe().unwrap();
        check(&own).unwrap();
        let cut = dir.path().join("cut.so");
        let bytes = fs::read(&own).unwrap();
        fs::write(&cut, &bytes[..bytes.len() / 3]).unwrap();
        let text = dir.path().join("text.so");
        fs::write(&text, "no library".repeat(10)).unwrap();
        let empty = dir.path().join("empty.so");
        fs::write(&empty, "").unwrap();
        for (path, told) in [
            (dir.path().join("none.so"), "does not exist"),
            (dir.path().to_owned(), "is not a file"),
            (PathBuf::from("/dev/null"), "is not a file"),
            (empty, "is not a shared library"),
            (text, "is not a 64-bit shared library"),
            (cut, "is cut off"),
        ] {
            let error = check(&path).unwrap_err();
            assert!(error.starts_with(told), "{}: {error}", path.display());
        }
    }

    #[test]
    fn of_several_versions_the_newest_comes_first() {
        let dir = TempDir::new().unwrap();
        for name in ["liba.so.1.9", "liba.so.1.32", "libb.so"] {
            touch(&dir.path().join(name));
        }
        let found = starting(dir.path(), "liba.so");
        let names = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["liba.so.1.32", "liba.so.1.9"]);
    }
}
