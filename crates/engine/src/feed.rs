//! Where a model's rows come from: its source, or all of them held in memory for a replay.

use std::sync::Arc;

use afresh_core::time::Window;
use afresh_data::error::Error;
use afresh_data::rows::Rows;
use afresh_data::schema::Schema;
use afresh_data::source::Source;
use afresh_data::spec::Columns;

/// Rows of one model. Who asks for a window may be given more and must look at event times.
#[derive(Clone, Debug)]
pub struct Feed {
    source: Source,
    schema: Schema,
    memory: Option<Arc<Rows>>,
}

impl Feed {
    /// Reads windows when they are asked for.
    #[must_use]
    pub fn reading(source: Source, schema: Schema) -> Feed {
        Feed { source, schema, memory: None }
    }

    /// Reads everything once.
    pub async fn in_memory(source: Source, schema: Schema) -> Result<Feed, Error> {
        let rows = source.read(Window::ALL, &schema, Columns::All).await?;
        Ok(Feed { source, schema, memory: Some(Arc::new(rows)) })
    }

    /// The files.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// What the rows are checked against.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Whether all rows are held in memory, so that positions in them stay what they are.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// At least the rows of `window`, with at least these columns.
    pub async fn rows(&self, window: Window, columns: Columns<'_>) -> Result<Arc<Rows>, Error> {
        match &self.memory {
            Some(rows) => Ok(Arc::clone(rows)),
            None => self.source.read(window, &self.schema, columns).await.map(Arc::new),
        }
    }
}
