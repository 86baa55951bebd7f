//! Rules that no compiler knows: first lines, lengths, arrows between crates, pure crates.

use std::path::Path;

use anyhow::{Result, bail};

use crate::house;

/// Files past this say in their first lines why they are not split.
const LINES_MAX: usize = 600;

/// What each crate of the house may lean on.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("ml", &[]),
    ("policy", &["core", "ml"]),
    ("data", &["core", "ml"]),
    ("train", &["core", "ml", "data"]),
    ("engine", &["core", "ml", "policy", "data", "train"]),
    ("store", &["core", "engine"]),
    ("connect", &["core", "data", "train", "engine"]),
    ("sim", &["core", "ml", "policy", "data", "train", "engine"]),
    ("config", &["core", "ml", "policy", "data", "train"]),
    ("report", &[]),
    ("web", &["core", "ml", "policy", "data", "train", "engine"]),
    (
        "afresh",
        &[
            "core", "ml", "policy", "data", "train", "engine", "store", "connect", "sim", "config",
            "report", "web",
        ],
    ),
];

/// What the pure crates may take from outside: calendars, numbers and the forms of things.
const PURE: &[(&str, &[&str])] = &[
    ("core", &["chrono", "chrono-tz", "croner", "serde", "thiserror"]),
    ("ml", &["serde", "statrs", "thiserror"]),
    ("policy", &["serde", "statrs", "thiserror"]),
];

/// What every clone must hold.
const PAPERS: &[&str] = &["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", ".ci/run"];

pub(crate) fn run(_arguments: &[String]) -> Result<()> {
    let findings = findings(&house::root())?;
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    println!("tidy");
    Ok(())
}

/// Everything that is not as it should be, one sentence each.
fn findings(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in house::files(root)? {
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let known = [".rs", ".md", ".toml", ".sh", ".html", ".css", ".js"];
        if !known.iter().any(|ending| name.ends_with(ending)) {
            continue;
        }
        let text = std::fs::read_to_string(&file)?;
        findings.extend(machine_paths(&name, &text));
        if name.ends_with(".rs") {
            findings.extend(source(&name, &text));
        }
    }
    for paper in PAPERS {
        if !root.join(paper).exists() {
            findings.push(format!("{paper} is missing"));
        }
    }
    findings.extend(arrows(root)?);
    Ok(findings)
}

fn source(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//! ") {
        findings.push(format!("{name}: the first line is no `//!` sentence"));
    }
    let lines = text.lines().count();
    let head = text.lines().take_while(|line| line.starts_with("//!")).collect::<String>();
    let excused = head.contains("long because") || head.contains("One table");
    if LINES_MAX < lines && !excused {
        findings.push(format!(
            "{name}: {lines} lines: split it, or say in its `//!` that it is `long because` …"
        ));
    }
    // Spelled apart, so that this file does not find itself.
    for unwanted in [concat!("todo", "!("), concat!("#[", "ignore")] {
        if text.contains(unwanted) {
            findings.push(format!("{name}: `{unwanted}` does not belong here"));
        }
    }
    let tests = match text.split_once(concat!("#[cfg(", "test)]\nmod")) {
        _ if name.contains("/tests") || name.ends_with("_tests.rs") => text,
        Some((_, tests)) => tests,
        None => "",
    };
    if tests.contains(concat!("thread::", "sleep")) {
        findings.push(format!("{name}: a test sleeps: let it wait for what it needs instead"));
    }
    findings
}

fn machine_paths(name: &str, text: &str) -> Vec<String> {
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let found = paths.iter().filter(|path| text.contains(**path));
    found.map(|path| format!("{name}: `{path}` is a path of one machine")).collect()
}

fn arrows(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let mut crates = std::fs::read_dir(root.join("crates"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    crates.sort();
    for name in crates {
        let path = root.join("crates").join(&name).join("Cargo.toml");
        if !path.exists() {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(of, _)| *of == name) else {
            findings.push(format!("crates/{name} has no place among the arrows of tidy"));
            continue;
        };
        let manifest = house::manifest(&path)?;
        findings.extend(leans_on(&name, allowed, &manifest));
    }
    let manifest = house::manifest(&root.join("xtask/Cargo.toml"))?;
    findings.extend(leans_on("xtask", &[], &manifest));
    Ok(findings)
}

fn leans_on(name: &str, allowed: &[&str], manifest: &toml::Table) -> Vec<String> {
    let mut findings = Vec::new();
    for table in ["dependencies", "build-dependencies"] {
        let Some(dependencies) = manifest.get(table).and_then(toml::Value::as_table) else {
            continue;
        };
        for dependency in dependencies.keys() {
            let pure = PURE.iter().find(|(of, _)| *of == name);
            match (dependency.strip_prefix("afresh-"), pure) {
                (Some(own), _) if !allowed.contains(&own) => {
                    findings.push(format!("{name} must not know {own}"));
                }
                (None, Some((_, outside))) if !outside.contains(&dependency.as_str()) => {
                    findings.push(format!("{name} is pure and must not take {dependency}"));
                }
                _ => {}
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        assert_eq!(findings(&house::root()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn untidy_source_is_found() {
        let long = format!("//! A file.\n{}", "\n".repeat(LINES_MAX));
        for (text, findings) in [
            ("//! Good.\n", 0),
            ("fn bare() {}\n", 1),
            (long.as_str(), 1),
            (concat!("//! Late.\nfn f() { todo", "!() }\n"), 1),
        ] {
            assert_eq!(source("a.rs", text).len(), findings, "{text:.40}");
        }
        assert_eq!(machine_paths("a.md", concat!("see /wo", "rk/x")).len(), 1);
    }

    #[test]
    fn forbidden_arrows_and_impure_crates_are_found() {
        let manifest = "[dependencies]\nafresh-engine = {}\nserde = {}\ntokio = {}\n";
        let found = leans_on("core", &[], &manifest.parse().unwrap());
        assert_eq!(found, ["core must not know engine", "core is pure and must not take tokio"]);
    }
}
