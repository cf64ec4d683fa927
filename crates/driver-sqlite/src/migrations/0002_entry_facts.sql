-- Adds metadata to entries: flags, create revision and version. The table is rebuilt, because SQLite reads a column after a large
-- value only by reading through the value. Existing rows have only their last write, which counts as the first one.

CREATE TABLE new_entries (
    keyspace        INTEGER NOT NULL,
    key             BLOB NOT NULL,
    revision        INTEGER NOT NULL,
    expires         INTEGER,
    create_revision INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    -- An unsigned number of 64 bits, stored as the signed number with the same bits.
    flags           INTEGER NOT NULL,
    value           BLOB NOT NULL,
    PRIMARY KEY (keyspace, key)
) STRICT, WITHOUT ROWID;

INSERT INTO new_entries (keyspace, key, revision, expires, create_revision, version, flags, value)
SELECT keyspace, key, revision, expires, revision, 1, 0, value FROM entries ORDER BY keyspace, key;

DROP TABLE entries;
ALTER TABLE new_entries RENAME TO entries;
CREATE INDEX entries_expires ON entries (expires) WHERE expires IS NOT NULL;
