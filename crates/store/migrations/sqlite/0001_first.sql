-- Facts are the truth; every other table can be folded from them again.
-- Times are milliseconds since the Unix epoch, UTC. `format` is the version of `body`'s JSON.

CREATE TABLE models (
    name  TEXT NOT NULL PRIMARY KEY,
    facts INTEGER NOT NULL CHECK (facts >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE facts (
    model  TEXT NOT NULL REFERENCES models (name),
    number INTEGER NOT NULL CHECK (number > 0),
    at     INTEGER NOT NULL,
    format INTEGER NOT NULL,
    body   TEXT NOT NULL,
    PRIMARY KEY (model, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE fleet_facts (
    number INTEGER NOT NULL PRIMARY KEY CHECK (number > 0),
    at     INTEGER NOT NULL,
    format INTEGER NOT NULL,
    body   TEXT NOT NULL
) STRICT;

-- The newest state of each model: a shortcut past its facts up to `number`.
CREATE TABLE snapshots (
    model  TEXT NOT NULL PRIMARY KEY REFERENCES models (name),
    number INTEGER NOT NULL,
    format INTEGER NOT NULL,
    body   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per decision; a stretch of equal keeps is one row.
CREATE TABLE decisions (
    id       INTEGER NOT NULL PRIMARY KEY,
    model    TEXT NOT NULL REFERENCES models (name),
    action   TEXT NOT NULL,
    cause    TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    min      REAL,
    max      REAL,
    last     REAL,
    format   INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT;
-- Each index ends with the row's id.
CREATE INDEX decisions_of_model ON decisions (model);
CREATE INDEX decisions_that_keep ON decisions (model, cause) WHERE action = 'keep';
CREATE INDEX decisions_that_act ON decisions (model) WHERE action <> 'keep';

CREATE TABLE runs (
    id     INTEGER NOT NULL PRIMARY KEY,
    model  TEXT NOT NULL REFERENCES models (name),
    run    INTEGER NOT NULL,
    format INTEGER NOT NULL,
    body   TEXT NOT NULL,
    UNIQUE (model, run)
) STRICT;
CREATE INDEX runs_of_model ON runs (model);

CREATE TABLE versions (
    model   TEXT NOT NULL REFERENCES models (name),
    version INTEGER NOT NULL,
    format  INTEGER NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (model, version)
) STRICT, WITHOUT ROWID;

-- What answered from `from_ms` on, until the next row. NULL version: nothing answered.
CREATE TABLE servings (
    model          TEXT NOT NULL REFERENCES models (name),
    fence          INTEGER NOT NULL,
    from_ms        INTEGER NOT NULL,
    version        INTEGER,
    canary         INTEGER,
    canary_percent INTEGER,
    run            INTEGER,
    why            TEXT NOT NULL,
    PRIMARY KEY (model, fence),
    CHECK ((canary IS NULL) = (canary_percent IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX servings_by_time ON servings (model, from_ms, fence);

CREATE TABLE documents (
    model TEXT NOT NULL REFERENCES models (name),
    key   TEXT NOT NULL,
    body  TEXT NOT NULL,
    PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;
