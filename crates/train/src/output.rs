//! What a training says: progress, the end of its output for messages, and a log of bounded size.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::trainer::Progress;

/// Both streams of one process.
pub(crate) struct Output {
    state: Mutex<State>,
    closed: Condvar,
    progress: Option<Progress>,
}

struct State {
    tail: Vec<u8>,
    log: Option<File>,
    log_bytes: usize,
    open: usize,
}

/// Which stream a reader is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// Bytes of output kept for messages.
const TAIL_BYTES: usize = 2_048;
/// Bytes of output kept in the log.
const LOG_BYTES_MAX: usize = 4 << 20;
/// Longest line that is looked at for progress.
const LINE_BYTES_MAX: usize = 256;

impl Output {
    /// Writes a log to `path`, and tells `progress`.
    pub(crate) fn new(path: &Path, progress: Option<Progress>) -> Result<Arc<Output>, Error> {
        let log = File::create(path).map_err(|error| Error::io("write", path, &error))?;
        let state = State { tail: Vec::new(), log: Some(log), log_bytes: 0, open: 0 };
        Ok(Arc::new(Output { state: Mutex::new(state), closed: Condvar::new(), progress }))
    }

    /// Reads a stream to its end, on a thread of its own.
    pub(crate) fn follow(
        self: &Arc<Output>,
        mut source: impl Read + Send + 'static,
        stream: Stream,
    ) {
        let output = Arc::clone(self);
        output.lock().open += 1;
        std::thread::spawn(move || {
            let mut buffer = [0; 8_192];
            let mut line = Vec::new();
            while let Ok(count @ 1..) = source.read(&mut buffer) {
                output.keep(&buffer[..count]);
                if stream == Stream::Out {
                    output.find_progress(&mut line, &buffer[..count]);
                }
            }
            output.lock().open -= 1;
            output.closed.notify_all();
        });
    }

    /// The end of the output, once both streams are closed or `patience` is over.
    pub(crate) fn tail(&self, patience: Duration) -> String {
        let state = self.closed.wait_timeout_while(self.lock(), patience, |state| state.open > 0);
        let (state, _) = state.unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&state.tail).into_owned()
    }

    fn keep(&self, bytes: &[u8]) {
        let mut state = self.lock();
        let room = LOG_BYTES_MAX.saturating_sub(state.log_bytes).min(bytes.len());
        state.log_bytes += room;
        // A full disk costs the log, not the training.
        if state.log.as_mut().is_some_and(|log| log.write_all(&bytes[..room]).is_err()) {
            state.log = None;
        }
        // Lines of progress tell nothing in an error message.
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !line.starts_with(b"progress ") {
                state.tail.extend_from_slice(line);
            }
        }
        let surplus = state.tail.len().saturating_sub(TAIL_BYTES);
        state.tail.drain(..surplus);
    }

    fn find_progress(&self, line: &mut Vec<u8>, bytes: &[u8]) {
        for byte in bytes {
            if *byte != b'\n' {
                if line.len() < LINE_BYTES_MAX {
                    line.push(*byte);
                }
                continue;
            }
            if let (Some(tell), Some(share)) = (&self.progress, progress(line)) {
                tell(share);
            }
            line.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The share of a line `progress 0.4`; anything else is ordinary output.
fn progress(line: &[u8]) -> Option<f64> {
    let share = std::str::from_utf8(line).ok()?.strip_prefix("progress ")?.trim();
    let share = share.parse::<f64>().ok()?;
    (0.0..=1.0).contains(&share).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_of_progress_count() {
        let shares = |line: &str| progress(line.as_bytes());
        assert_eq!(shares("progress 0.4"), Some(0.4));
        assert_eq!(shares("progress 1\r"), Some(1.0));
        for other in ["progress", "progress x", "progress nan", "progress 7", "my progress 0.4"] {
            assert_eq!(shares(other), None, "{other}");
        }
        assert_eq!(progress(&[0xff, 0xfe]), None);
    }

    #[test]
    fn output_is_bounded_and_keeps_its_end() {
        let path = std::env::temp_dir().join(format!("afresh-output-{}", std::process::id()));
        let output = Output::new(&path, None).unwrap();
        let garbage = [vec![0xff; LOG_BYTES_MAX], b"the end\n".to_vec()].concat();
        output.follow(std::io::Cursor::new(garbage), Stream::Out);
        let tail = output.tail(Duration::from_secs(60));
        assert!(tail.ends_with("the end\n") && tail.chars().count() <= TAIL_BYTES);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), LOG_BYTES_MAX as u64);
        std::fs::remove_file(path).unwrap();
    }
}
