//! Python environments of tests: made once below `target/services`, used again while complete.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::remove;
use crate::house;

/// What a complete environment holds: the packages that were asked for, a line each.
const COMPLETE: &str = "packages.txt";

/// The environment `target/services/venv-NAME` with these packages, as pip names them.
pub(crate) fn venv(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let venv = house::root().join("target/services").join(format!("venv-{name}"));
    let (complete, wanted) = (venv.join(COMPLETE), packages.join("\n"));
    if std::fs::read_to_string(&complete).is_ok_and(|had| had == wanted) {
        return Ok(venv);
    }
    remove(&venv)?;
    make(&venv)?;
    if !packages.is_empty() {
        install(&venv, packages)?;
    }
    std::fs::write(&complete, wanted)
        .with_context(|| format!("failed to write {}", complete.display()))?;
    Ok(venv)
}

/// The Python of an environment.
pub(crate) fn python(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

fn install(venv: &Path, packages: &[&str]) -> Result<()> {
    println!("   pip install {}", packages.join(" "));
    let mut pip = Command::new(python(venv));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    let status = pip.status().with_context(|| format!("failed to start {pip:?}"))?;
    if !status.success() {
        bail!("pip could not install {}: {status}", packages.join(" "));
    }
    Ok(())
}

/// Makes an empty environment; where the system lacks the means and this is root, installs them.
fn make(venv: &Path) -> Result<()> {
    println!("   python3 -m venv {}", venv.display());
    if made(venv) {
        return Ok(());
    }
    let missing = "python3 cannot make environments: install python3 with its venv module \
                   (on Debian and Ubuntu: apt-get install python3 python3-venv)";
    if !is_root() || !succeeds("apt-get", &["--version"]) {
        bail!("{missing}");
    }
    let install = ["install", "-qq", "-y", "--no-install-recommends", "python3", "python3-venv"];
    println!("   apt-get {}", install.join(" "));
    if !(succeeds("apt-get", &["update", "-qq"]) && succeeds("apt-get", &install)) {
        bail!("{missing}; apt-get could not");
    }
    remove(venv)?;
    if made(venv) { Ok(()) } else { bail!("{missing}") }
}

/// Whether `python3 -m venv` made an environment that has pip.
fn made(venv: &Path) -> bool {
    let directory = venv.display().to_string();
    succeeds("python3", &["-m", "venv", &directory])
        && succeeds(python(venv).as_os_str(), &["-m", "pip", "--version"])
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

fn succeeds(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}
