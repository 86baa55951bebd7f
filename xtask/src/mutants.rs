//! Breaks the core on purpose, in a copy, and sees whether the simulator or the tests notice.

mod list;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::house;

use list::MUTANTS;

/// One deliberate mistake.
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    /// Below `crates/core/src`.
    pub(crate) file: &'static str,
    /// Occurs exactly once.
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) killer: Killer,
}

/// Who must notice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Killer {
    /// The fault simulator.
    Simulator,
    /// The core's own tests.
    Tests,
}

/// What became of a mutant.
enum Fate {
    /// Noticed, by this sign.
    Killed(String),
    Survived,
}

/// Seeds that a mutant must survive to pass as unnoticed.
const SEEDS: &str = "1500";
/// A mutant that takes longer hangs, which is noticed too.
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let chosen = arguments.first();
    let copy = Copy::make()?;
    for (killer, what) in [(Killer::Simulator, "simulator"), (Killer::Tests, "tests")] {
        if let Fate::Killed(by) = copy.judge(killer)? {
            bail!("the {what} fail without any mutant: {by}");
        }
    }
    let mut survivors = Vec::new();
    let mut count = 0;
    for mutant in MUTANTS.iter().filter(|mutant| chosen.is_none_or(|name| name == mutant.name)) {
        count += 1;
        let started = Instant::now();
        let fate = copy.with(mutant, |copy| copy.judge(mutant.killer))?;
        let seconds = started.elapsed().as_secs();
        match fate {
            Fate::Killed(by) => println!("killed    {:<58} {seconds:>3} s  {by}", mutant.name),
            Fate::Survived => {
                println!("SURVIVED  {:<58} {seconds:>3} s", mutant.name);
                survivors.push(mutant.name);
            }
        }
    }
    if count == 0 {
        bail!("no mutant has this name");
    }
    if !survivors.is_empty() {
        bail!("{} of {count} mutants survive: {}", survivors.len(), survivors.join("; "));
    }
    println!("{count} mutants, all killed");
    Ok(())
}

/// A small house of the core and the fault simulator alone, below `target`.
struct Copy {
    directory: PathBuf,
}

impl Copy {
    fn make() -> Result<Copy> {
        let root = house::root();
        let directory = root.join("target/mutants");
        let crates = directory.join("crates");
        if crates.exists() {
            std::fs::remove_dir_all(&crates)?;
        }
        for part in ["crates/core", "crates/sim/src", "crates/sim/examples"] {
            for file in house::files(&root.join(part))? {
                let name = file.strip_prefix(&root)?;
                let shared =
                    !part.starts_with("crates/sim") || name.to_string_lossy().contains("/faults");
                if shared {
                    let to = directory.join(name);
                    std::fs::create_dir_all(to.parent().context("a file has a directory")?)?;
                    std::fs::copy(&file, to)?;
                }
            }
        }
        std::fs::write(crates.join("sim/src/lib.rs"), "//! Faults alone.\n\npub mod faults;\n")?;
        let mut sim = house::manifest(&root.join("crates/sim/Cargo.toml"))?;
        sim.retain(|table, _| !table.contains("dependencies") && table != "features");
        let core = "[dependencies]\nafresh-core.workspace = true\n";
        std::fs::write(crates.join("sim/Cargo.toml"), format!("{sim}\n{core}"))?;
        let mut workspace = house::manifest(&root.join("Cargo.toml"))?;
        if let Some(table) = workspace.get_mut("workspace").and_then(toml::Value::as_table_mut) {
            table.remove("default-members");
            let members = ["crates/core", "crates/sim"].map(toml::Value::from).to_vec();
            table.insert("members".to_owned(), members.into());
        }
        keep_profiles_of_known(&mut workspace);
        std::fs::write(directory.join("Cargo.toml"), workspace.to_string())?;
        std::fs::copy(root.join("Cargo.lock"), directory.join("Cargo.lock"))?;
        Ok(Copy { directory })
    }

    /// Runs `work` while `mutant` is in place.
    fn with(&self, mutant: &Mutant, work: impl Fn(&Copy) -> Result<Fate>) -> Result<Fate> {
        let file = self.directory.join("crates/core/src").join(mutant.file);
        let sound = std::fs::read_to_string(&file)
            .with_context(|| format!("{} of `{}` is not there", mutant.file, mutant.name))?;
        let mutated = mutate(&sound, mutant)?;
        std::fs::write(&file, mutated)?;
        let fate = work(self);
        std::fs::write(&file, sound)?;
        fate.with_context(|| format!("mutant `{}`", mutant.name))
    }

    /// Builds, then lets the killer look.
    fn judge(&self, killer: Killer) -> Result<Fate> {
        let build: &[&str] = match killer {
            Killer::Simulator => &["build", "--package", "afresh-sim", "--example", "faults"],
            Killer::Tests => &["test", "--package", "afresh-core", "--no-run"],
        };
        let built = self.cargo(build).output().context("cargo cannot be started")?;
        if !built.status.success() {
            let words = String::from_utf8_lossy(&built.stderr);
            let error = words.lines().find(|line| line.starts_with("error"));
            bail!("it does not build: {}", error.unwrap_or("cargo says nothing"));
        }
        let mut look = match killer {
            Killer::Simulator => {
                let mut command = Command::new(self.target().join("debug/examples/faults"));
                command.arg(SEEDS);
                command
            }
            Killer::Tests => self.cargo(&["test", "--package", "afresh-core", "--quiet"]),
        };
        let signs = self.directory.join("signs.txt");
        let out = std::fs::File::create(&signs)?;
        let mut child = look.stdout(out.try_clone()?).stderr(out).stdin(Stdio::null()).spawn()?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if PATIENCE < started.elapsed() {
                child.kill()?;
                child.wait()?;
                return Ok(Fate::Killed("it hangs".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        if status.success() {
            return Ok(Fate::Survived);
        }
        let words = std::fs::read_to_string(&signs).unwrap_or_default();
        Ok(Fate::Killed(sign(&words)))
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = house::cargo();
        command.args(arguments).current_dir(&self.directory);
        // Only what cannot be optimised away matters here.
        command.env("CARGO_TARGET_DIR", self.target()).env("CARGO_PROFILE_DEV_DEBUG", "0");
        command.env("RUSTFLAGS", "--cap-lints=warn");
        command
    }

    fn target(&self) -> PathBuf {
        self.directory.join("target")
    }
}

fn mutate(sound: &str, mutant: &Mutant) -> Result<String> {
    match sound.matches(mutant.from).count() {
        1 => Ok(sound.replacen(mutant.from, mutant.to, 1)),
        count => bail!(
            "the text of `{}` occurs {count} times in {}: write what stands there now",
            mutant.name,
            mutant.file
        ),
    }
}

/// Cargo warns of profiles for packages that are not there.
fn keep_profiles_of_known(workspace: &mut toml::Table) {
    let profiles = workspace.get_mut("profile").and_then(toml::Value::as_table_mut);
    for profile in profiles.into_iter().flat_map(|table| table.iter_mut()) {
        if let Some(packages) = profile.1.get_mut("package").and_then(toml::Value::as_table_mut) {
            let known = ["*", "afresh-core", "afresh-sim", "croner", "chrono"];
            packages.retain(|name, _| known.contains(&name));
        }
    }
}

/// The line that tells best what was noticed.
fn sign(words: &str) -> String {
    let telling = words.lines().find(|line| {
        line.starts_with("seed ") || line.contains("panicked at") || line.contains("not found")
    });
    let line = telling.or_else(|| words.lines().next()).unwrap_or("it ended without words");
    line.trim().chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_still_finds_its_text() {
        for mutant in MUTANTS {
            let path = house::root().join("crates/core/src").join(mutant.file);
            let sound = std::fs::read_to_string(path).unwrap();
            let mutated = mutate(&sound, mutant).unwrap();
            assert_ne!(mutated, sound, "{}", mutant.name);
        }
        assert!(12 <= MUTANTS.len());
    }
}
