//! The tree of processes below a training, as `/proc` shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::OnceLock;

use crate::process;

/// What the processes of a tree hold now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processes, without the root.
    pub(crate) processes: u32,
    /// Resident bytes, the root's included; shared memory counts for each of them.
    pub(crate) resident_bytes: u64,
}

/// One process, whose number may be another's later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    pid: i32,
    /// Ticks from the start of the machine to that of the process.
    started: u64,
}

/// Kills all processes below `root` until none runs. Gives up on processes that the kernel does
/// not let die, after many rounds.
pub(crate) fn kill_below(root: u32) {
    const ROUNDS_MAX: usize = 10_000;
    // Halted first: what forks faster than it is killed would win, and places that the killed leave
    // would be taken. A halted process keeps its place and starts no other.
    let mut halted = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let new = below(root).into_iter().filter(|process| !halted.contains(process));
        let new = new.collect::<Vec<_>>();
        if new.is_empty() {
            break;
        }
        for process in new {
            process.send(process::STOP);
            halted.insert(process);
        }
    }
    for _ in 0..ROUNDS_MAX {
        let processes = below(root);
        if processes.is_empty() {
            return;
        }
        for process in processes {
            process.send(process::KILL);
        }
        std::thread::yield_now();
    }
}

/// Kills all processes that were started with `NAME=value` in their environment, however far they
/// have wandered off.
pub(crate) fn kill_marked(mark: &str) {
    let is_marked = |pid: i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|v| v == mark.as_bytes()))
    };
    const ROUNDS_MAX: usize = 100;
    for _ in 0..ROUNDS_MAX {
        let pids = all().filter(|pid| is_marked(*pid)).collect::<Vec<_>>();
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            process::signal_exactly(pid, process::KILL, || is_marked(pid));
        }
    }
}

/// What `root` and all below it hold.
pub(crate) fn usage(root: u32) -> Usage {
    static LISTED: OnceLock<bool> = OnceLock::new();
    let own = format!("/proc/self/task/{}/children", std::process::id());
    if !LISTED.get_or_init(|| fs::exists(own).unwrap_or(false)) {
        let below = below(root).into_iter().map(|process| process.pid).collect::<Vec<_>>();
        let all = below.iter().copied().chain(i32::try_from(root).ok());
        let resident_bytes = all.filter_map(resident_bytes).sum();
        return Usage { processes: count(below.len()), resident_bytes };
    }
    let mut usage = Usage::default();
    let mut open = Vec::from_iter(i32::try_from(root).ok());
    while let Some(pid) = open.pop() {
        // One that has ended meanwhile holds nothing.
        usage.resident_bytes += resident_bytes(pid).unwrap_or(0);
        let children = children(pid);
        usage.processes = usage.processes.saturating_add(count(children.len()));
        open.extend(children);
    }
    usage
}

/// CPU seconds, user and system, of `root` and all below it that run or have been collected by one
/// that does.
pub(crate) fn cpu_seconds(root: u32) -> f64 {
    let below = below(root).into_iter().map(|process| process.pid);
    let ticks = below.chain(i32::try_from(root).ok()).filter_map(|pid| Some(stat(pid)?.ticks));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let ticks = ticks.sum::<u64>() as f64;
    ticks / process::ticks_per_second()
}

/// All processes below `root` that still run, without `root`.
fn below(root: u32) -> Vec<Process> {
    let mut children = BTreeMap::<i32, Vec<(Process, bool)>>::new();
    for pid in all() {
        if let Some(stat) = stat(pid) {
            let process = Process { pid, started: stat.started };
            children.entry(stat.parent).or_default().push((process, stat.runs));
        }
    }
    let (mut found, mut open) = (Vec::new(), Vec::from_iter(i32::try_from(root).ok()));
    while let Some(parent) = open.pop() {
        for (process, runs) in children.remove(&parent).unwrap_or_default() {
            open.push(process.pid);
            if runs {
                found.push(process);
            }
        }
    }
    found
}

/// Children of one process by the list that the kernel keeps, which costs less than looking at every
/// process of the machine. May miss one while others end.
fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let lists =
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let mut found = Vec::new();
    for list in lists {
        found.extend(list.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    found
}

fn resident_bytes(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages = text.split(' ').nth(1)?.parse::<u64>().ok()?;
    Some(pages.saturating_mul(process::page_bytes()))
}

fn all() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// What `/proc/PID/stat` says.
struct Stat {
    parent: i32,
    runs: bool,
    started: u64,
    /// CPU of the process and of its collected children.
    ticks: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses and blanks included.
    let (_, after) = text.rsplit_once(')')?;
    let fields = after.split_whitespace().collect::<Vec<_>>();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        runs: !matches!(*fields.first()?, "Z" | "X"),
        started: number(19)?,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
    })
}

impl Process {
    fn send(self, signal: i32) {
        process::signal_exactly(self.pid, signal, || {
            stat(self.pid).is_some_and(|stat| stat.started == self.started)
        });
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
