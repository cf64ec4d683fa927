-- What an entry tells beside its value: flags, who created it, how often it was written. The table is made anew, because a
-- column behind a large value is only found by walking through that value. Of a row from before, nobody knows more than
-- its last write.

CREATE TABLE new_entries (
    keyspace        INTEGER NOT NULL,
    key             BLOB NOT NULL,
    revision        INTEGER NOT NULL,
    expires         INTEGER,
    create_revision INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    -- 64 bits without a sign, as the same 64 bits with one.
    flags           INTEGER NOT NULL,
    value           BLOB NOT NULL,
    PRIMARY KEY (keyspace, key)
) STRICT, WITHOUT ROWID;

INSERT INTO new_entries (keyspace, key, revision, expires, create_revision, version, flags, value)
SELECT keyspace, key, revision, expires, revision, 1, 0, value FROM entries ORDER BY keyspace, key;

DROP TABLE entries;
ALTER TABLE new_entries RENAME TO entries;
CREATE INDEX entries_expires ON entries (expires) WHERE expires IS NOT NULL;
