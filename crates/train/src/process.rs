//! Processes and their ends, as the kernel tells them: the one module that calls C.
#![expect(
    unsafe_code,
    reason = "signals, sub-reaping and the CPU of ended children have no safe API"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::ptr;

/// Asks a process to end.
pub(crate) const TERMINATE: i32 = libc::SIGTERM;
/// Ends a process.
pub(crate) const KILL: i32 = libc::SIGKILL;
/// Halts a process.
pub(crate) const STOP: i32 = libc::SIGSTOP;

/// Makes this process the root of its own tree: a session of its own, orphans below it become its
/// children, and it gets [`TERMINATE`] when its parent dies. Fails where `parent` is dead already.
pub(crate) fn supervise(parent: u32) -> io::Result<()> {
    // SAFETY: these calls take numbers only and change nothing but this process's attributes.
    unsafe {
        // Fails only for the leader of a group, as which a shell may have started this process.
        libc::setsid();
        if libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1_u64) != 0
            || libc::prctl(libc::PR_SET_PDEATHSIG, TERMINATE as libc::c_ulong) != 0
        {
            return Err(io::Error::last_os_error());
        }
        if u32::try_from(libc::getppid()).ok() != Some(parent) {
            return Err(io::Error::other("the parent has died"));
        }
    }
    Ok(())
}

/// Keeps [`TERMINATE`] for [`wait_for_termination`]. Call before any other thread starts.
pub(crate) fn hold_termination() -> io::Result<()> {
    // SAFETY: the set lives through the call; a null old set is allowed.
    let code = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &termination(), ptr::null_mut()) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Blocks until [`TERMINATE`] arrives.
pub(crate) fn wait_for_termination() {
    let mut signal = 0;
    // SAFETY: both pointers live through the call.
    unsafe { libc::sigwait(&termination(), &mut signal) };
}

/// Ends this process at once, without running what is registered for its end.
pub(crate) fn end_now(code: i32) -> ! {
    // SAFETY: no memory is touched.
    unsafe { libc::_exit(code) }
}

/// Lets `command` be killed when the thread that starts it ends or its process dies.
pub(crate) fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let set = move || {
        // SAFETY: both calls take numbers only.
        let (code, now) = unsafe {
            (libc::prctl(libc::PR_SET_PDEATHSIG, KILL as libc::c_ulong), libc::getppid())
        };
        match code {
            // A parent that died before the call sends no signal any more.
            0 if u32::try_from(now).ok() == Some(parent) => Ok(()),
            0 => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec only system calls are made, which are safe after a fork.
    unsafe { command.pre_exec(set) };
}

/// Sends a signal; a process that is gone is no error.
pub(crate) fn signal(pid: i32, signal: i32) {
    if pid > 1 {
        // SAFETY: takes numbers only; `pid` names one process, never a group or all.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Sends a signal to the process that bears the number `pid` and for which `is_meant` holds while
/// its number cannot become another's. A process that is gone is no error.
pub(crate) fn signal_exactly(pid: i32, signal: i32, is_meant: impl FnOnce() -> bool) {
    if pid <= 1 {
        return;
    }
    // SAFETY: takes numbers only; the descriptor is closed below, and on exec.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let Ok(descriptor @ 0..) = i32::try_from(opened) else {
        let is_unknown = io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS);
        // Kernels before 5.3: the number is all there is.
        if is_unknown && is_meant() {
            self::signal(pid, signal);
        }
        return;
    };
    if is_meant() {
        let none = ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is open; a null description of the signal is allowed.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, signal, none, 0) };
    }
    // SAFETY: the descriptor was opened above and is nobody else's.
    unsafe { libc::close(descriptor) };
}

/// Blocks until the child has ended, without collecting it, so that its number stays its own.
pub(crate) fn await_end(pid: i32) -> io::Result<()> {
    loop {
        let mut what = MaybeUninit::<libc::siginfo_t>::zeroed();
        let id = u32::try_from(pid).map_err(io::Error::other)?;
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: the pointer lives through the call, and the kernel fills it.
        if unsafe { libc::waitid(libc::P_PID, id, what.as_mut_ptr(), flags) } == 0 {
            return Ok(());
        }
        retry_if_interrupted()?;
    }
}

/// Collects a child that has ended, with the CPU seconds, user and system, of it and of all below
/// it that were collected in their turn.
pub(crate) fn collect(pid: i32) -> io::Result<(ExitStatus, f64)> {
    loop {
        let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
        // SAFETY: both pointers live through the call.
        let got = unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) };
        if got == pid {
            // SAFETY: zeroed is a valid value, and the kernel has filled it.
            let usage = unsafe { usage.assume_init() };
            return Ok((ExitStatus::from_raw(status), cpu_seconds(&usage)));
        }
        retry_if_interrupted()?;
    }
}

/// Blocks until any child ends and collects it; nothing where there is no child.
pub(crate) fn collect_any() -> Option<(i32, ExitStatus)> {
    loop {
        let mut status = 0;
        // SAFETY: the pointer lives through the call.
        let pid = unsafe { libc::waitpid(-1, &mut status, 0) };
        if pid > 0 {
            return Some((pid, ExitStatus::from_raw(status)));
        }
        retry_if_interrupted().ok()?;
    }
}

/// CPU seconds of this process and of its collected children.
pub(crate) fn own_cpu_seconds() -> f64 {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .into_iter()
        .map(|who| {
            let mut usage = MaybeUninit::<libc::rusage>::zeroed();
            // SAFETY: the pointer lives through the call; zeroed is a valid value.
            let usage = unsafe {
                libc::getrusage(who, usage.as_mut_ptr());
                usage.assume_init()
            };
            cpu_seconds(&usage)
        })
        .sum()
}

/// Ticks of the clock in which `/proc` counts CPU, per second.
pub(crate) fn ticks_per_second() -> f64 {
    // SAFETY: takes a number only.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    i32::try_from(ticks).map_or(100.0, f64::from).max(1.0)
}

/// Bytes of a page of memory.
pub(crate) fn page_bytes() -> u64 {
    // SAFETY: takes a number only.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4_096)
}

fn termination() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the first call initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), TERMINATE);
        set.assume_init()
    }
}

fn retry_if_interrupted() -> io::Result<()> {
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

fn cpu_seconds(usage: &libc::rusage) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
