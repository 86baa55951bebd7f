//! What SQLite complains of, in words that say what to do about it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use afresh_engine::port::StoreError;

/// Why the database did not do what it was asked. The source of [`StoreError::Broken`].
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No room for more pages.
    #[error("the disk is full: free some space and try again; nothing of this step was kept")]
    Full(#[source] sqlx::Error),
    /// May not be written.
    #[error(
        "it cannot be written: give this user the right to write the file and its directory; \
         nothing of this step was kept"
    )]
    ReadOnly(#[source] sqlx::Error),
    /// Cannot be opened or created.
    #[error(
        "the file cannot be opened or created: name a file, not a directory, in a directory that \
         exists and that this user may write"
    )]
    CannotOpen(#[source] sqlx::Error),
    /// Somebody else holds it.
    #[error("another process is writing to it: wait until it is done, or stop it, and try again")]
    Locked(#[source] sqlx::Error),
    /// Not SQLite.
    #[error("the file is not a SQLite database: name the state of afresh, or a new file")]
    NotADatabase(#[source] sqlx::Error),
    /// SQLite, of another program.
    #[error(
        "the file is a SQLite database of another program (application id {application}): name \
         the state of afresh, or a new file"
    )]
    Foreign {
        /// Its `application_id`.
        application: i64,
    },
    /// Ours, of a later version.
    #[error(
        "it has schema {found} and this version of afresh knows schemas up to {newest}: install \
         the version that wrote it, or a later one"
    )]
    Newer {
        /// Its schema's number.
        found: i64,
        /// The newest that this program knows.
        newest: usize,
    },
    /// The file system has no shared memory or locks.
    #[error(
        "its file system cannot keep a write-ahead log (the journal is `{mode}`): put the state \
         on a local disk"
    )]
    NoWriteAheadLog {
        /// The mode that it offers.
        mode: String,
    },
    /// The file contradicts itself.
    #[error("the file is damaged: restore it from a backup")]
    Corrupt(#[source] sqlx::Error),
    /// The disk or network file system failed.
    #[error("the disk failed to read or write: look at its health and its mount, and try again")]
    Disk(#[source] sqlx::Error),
    /// Every reading connection is taken.
    #[error("every connection that reads is in use: ask less at once, or allow more readers")]
    ReadersBusy,
    /// The store was closed, or its runtime ended.
    #[error("the store is closed: open it again")]
    Closed,
    /// Anything else.
    #[error("the database refused")]
    Other(#[source] sqlx::Error),
}

/// The database's file, for errors.
#[derive(Clone, Debug)]
pub(crate) struct Place(Arc<PathBuf>);

impl Trouble {
    /// Whether trying the same again can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Trouble::Full(_) | Trouble::Locked(_) | Trouble::Disk(_) | Trouble::ReadersBusy => true,
            Trouble::ReadOnly(_)
            | Trouble::CannotOpen(_)
            | Trouble::NotADatabase(_)
            | Trouble::Foreign { .. }
            | Trouble::Newer { .. }
            | Trouble::NoWriteAheadLog { .. }
            | Trouble::Corrupt(_)
            | Trouble::Closed
            | Trouble::Other(_) => false,
        }
    }
}

impl From<sqlx::Error> for Trouble {
    /// Result codes: <https://www.sqlite.org/rescode.html>; the low byte is the primary one.
    fn from(error: sqlx::Error) -> Trouble {
        if matches!(error, sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed) {
            return Trouble::Closed;
        }
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Trouble::ReadersBusy;
        }
        let code = error.as_database_error().and_then(|error| error.code());
        let code = code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
        match code {
            Some(5 | 6) => Trouble::Locked(error),
            Some(3 | 8) => Trouble::ReadOnly(error),
            Some(10) => Trouble::Disk(error),
            Some(11) => Trouble::Corrupt(error),
            Some(13) => Trouble::Full(error),
            Some(14) => Trouble::CannotOpen(error),
            Some(26) => Trouble::NotADatabase(error),
            _ => Trouble::Other(error),
        }
    }
}

impl Place {
    pub(crate) fn new(path: PathBuf) -> Place {
        Place(Arc::new(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// An error about what was tried here.
    pub(crate) fn broken<E: Into<Trouble>>(
        &self,
        operation: &'static str,
    ) -> impl FnOnce(E) -> StoreError {
        move |error| self.refused(operation, error.into())
    }

    /// An error about what was tried here, for a reason of any kind.
    pub(crate) fn refused(
        &self,
        operation: &'static str,
        why: impl std::error::Error + Send + Sync + 'static,
    ) -> StoreError {
        let place = self.0.display().to_string();
        StoreError::Broken { operation, place, source: Box::new(why) }
    }
}
