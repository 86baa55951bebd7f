//! The tree of processes below a training, as `/proc` shows it.

use std::collections::BTreeMap;
use std::fs;

use crate::process;

/// All processes below `root` that still run, without `root`.
pub(crate) fn below(root: u32) -> Vec<i32> {
    let mut children = BTreeMap::<i32, Vec<(i32, bool)>>::new();
    for pid in all() {
        if let Some((parent, runs)) = stat(pid) {
            children.entry(parent).or_default().push((pid, runs));
        }
    }
    let (mut found, mut open) = (Vec::new(), Vec::from_iter(i32::try_from(root).ok()));
    while let Some(parent) = open.pop() {
        for (pid, runs) in children.remove(&parent).unwrap_or_default() {
            open.push(pid);
            if runs {
                found.push(pid);
            }
        }
    }
    found
}

/// Kills all processes below `root` until none runs. Gives up on processes that the kernel does
/// not let die, after many rounds.
pub(crate) fn kill_below(root: u32) {
    const ROUNDS_MAX: usize = 10_000;
    for _ in 0..ROUNDS_MAX {
        let pids = below(root);
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            process::signal(pid, process::KILL);
        }
        std::thread::yield_now();
    }
}

/// Kills all processes that were started with `NAME=value` in their environment, however far they
/// have wandered off.
pub(crate) fn kill_marked(mark: &str) {
    let is_marked = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|v| v == mark.as_bytes()))
    };
    const ROUNDS_MAX: usize = 100;
    for _ in 0..ROUNDS_MAX {
        let pids = all().filter(is_marked).collect::<Vec<_>>();
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            process::signal(pid, process::KILL);
        }
    }
}

/// Resident bytes of `root` and of all below it; shared memory counts for each of them.
pub(crate) fn resident_bytes(root: u32) -> u64 {
    let resident = |pid: i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        text.split(' ').nth(1)?.parse::<u64>().ok()
    };
    let pages =
        below(root).into_iter().chain(i32::try_from(root).ok()).filter_map(resident).sum::<u64>();
    pages.saturating_mul(process::page_bytes())
}

fn all() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Parent of a process, and whether it still runs.
fn stat(pid: i32) -> Option<(i32, bool)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses and blanks included.
    let (_, after) = text.rsplit_once(')')?;
    let mut fields = after.split_whitespace();
    let state = fields.next()?;
    Some((fields.next()?.parse().ok()?, !matches!(state, "Z" | "X")))
}
