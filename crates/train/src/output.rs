//! What a program says: lines with a meaning, the end of its output for messages, and a log of bounded
//! size. Values of secrets are masked before anything else looks.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::secret::Secrets;

/// Looks at every line of the standard output; whether the line means something and so tells nothing
/// in an error message.
pub(crate) type OnLine = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Both streams of one process.
pub(crate) struct Output {
    state: Mutex<State>,
    closed: Condvar,
    secrets: Secrets,
    on_line: Option<OnLine>,
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
/// Longest line that is looked at for a meaning.
const LINE_BYTES_MAX: usize = 1_024;

impl Output {
    /// Writes a log to `path`, and shows lines to `on_line`.
    pub(crate) fn new(
        path: &Path,
        secrets: Secrets,
        on_line: Option<OnLine>,
    ) -> Result<Arc<Output>, Error> {
        let log = File::create(path).map_err(|error| Error::io("write", path, &error))?;
        let state = State { tail: Vec::new(), log: Some(log), log_bytes: 0, open: 0 };
        let (state, closed) = (Mutex::new(state), Condvar::new());
        Ok(Arc::new(Output { state, closed, secrets, on_line }))
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
            let mut masking = output.secrets.masking();
            let mut line = Line::default();
            while let Ok(count @ 1..) = source.read(&mut buffer) {
                output.keep(&masking.push(&buffer[..count]), stream, &mut line);
            }
            output.keep(&masking.end(), stream, &mut line);
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

    fn keep(&self, bytes: &[u8], stream: Stream, line: &mut Line) {
        let mut state = self.lock();
        let room = LOG_BYTES_MAX.saturating_sub(state.log_bytes).min(bytes.len());
        state.log_bytes += room;
        // A full disk costs the log, not the training.
        if state.log.as_mut().is_some_and(|log| log.write_all(&bytes[..room]).is_err()) {
            state.log = None;
        }
        drop(state);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let begun = line.kept;
            line.add(piece);
            let is_whole = piece.ends_with(b"\n");
            let means = is_whole && stream == Stream::Out && self.means(line);
            let mut state = self.lock();
            if means {
                // The part of it that came earlier.
                let length = state.tail.len().saturating_sub(begun);
                state.tail.truncate(length);
            } else {
                state.tail.extend_from_slice(piece);
                line.kept += piece.len();
                let surplus = state.tail.len().saturating_sub(TAIL_BYTES);
                state.tail.drain(..surplus);
            }
            drop(state);
            if is_whole {
                *line = Line::default();
            }
        }
    }

    fn means(&self, line: &Line) -> bool {
        let text = std::str::from_utf8(&line.bytes).map(str::trim_end);
        self.on_line.as_ref().zip(text.ok()).is_some_and(|(on_line, text)| on_line(text))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The share of a line `progress 0.4`; anything else is ordinary output.
pub(crate) fn progress(line: &str) -> Option<f64> {
    let share = line.strip_prefix("progress ")?.trim().parse::<f64>().ok()?;
    (0.0..=1.0).contains(&share).then_some(share)
}

/// A line of which a part has arrived.
#[derive(Default)]
struct Line {
    /// Its begin.
    bytes: Vec<u8>,
    /// How much of it stands at the end of the tail.
    kept: usize,
}

impl Line {
    fn add(&mut self, piece: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.bytes.len()).min(piece.len());
        self.bytes.extend_from_slice(&piece[..room]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_of_progress_count() {
        assert_eq!(progress("progress 0.4"), Some(0.4));
        assert_eq!(progress("progress 1\r"), Some(1.0));
        for other in ["progress", "progress x", "progress nan", "progress 7", "my progress 0.4"] {
            assert_eq!(progress(other), None, "{other}");
        }
    }

    #[test]
    fn output_is_bounded_and_keeps_its_end() {
        let path = std::env::temp_dir().join(format!("afresh-output-{}", std::process::id()));
        let output = Output::new(&path, Secrets::default(), None).unwrap();
        let garbage = [vec![0xff; LOG_BYTES_MAX], b"the end\n".to_vec()].concat();
        output.follow(std::io::Cursor::new(garbage), Stream::Out);
        let tail = output.tail(Duration::from_secs(60));
        assert!(tail.ends_with("the end\n") && tail.chars().count() <= TAIL_BYTES);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), LOG_BYTES_MAX as u64);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn lines_with_a_meaning_are_no_part_of_the_end() {
        let path = std::env::temp_dir().join(format!("afresh-lines-{}", std::process::id()));
        let output = Output::new(&path, Secrets::default(), Some(Box::new(|line| line == "done")));
        let output = output.unwrap();
        let mut line = Line::default();
        for piece in ["one\ndo", "ne\ntwo\n", "done\r\n", "done so\n", "do"] {
            output.keep(piece.as_bytes(), Stream::Out, &mut line);
        }
        assert_eq!(output.tail(Duration::ZERO), "one\ntwo\ndone so\ndo");
        std::fs::remove_file(path).unwrap();
    }
}
