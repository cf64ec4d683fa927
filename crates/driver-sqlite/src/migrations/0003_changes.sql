-- Histories of keyspaces, for watches. A keyspace has one while it is watched, and for some time after that.

CREATE TABLE histories (
    keyspace INTEGER PRIMARY KEY,
    -- A random number: positions are valid in one history only.
    epoch    INTEGER NOT NULL,
    -- Position of the last change.
    last     INTEGER NOT NULL,
    -- Changes up to this position were removed.
    removed  INTEGER NOT NULL,
    -- Bytes of keys and values.
    bytes    INTEGER NOT NULL,
    -- When the history ends, if nobody watches.
    until    INTEGER NOT NULL
) STRICT;

CREATE TABLE changes (
    keyspace        INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    -- 0 stored, 1 deleted, 2 expired.
    kind            INTEGER NOT NULL,
    key             BLOB NOT NULL,
    -- Of the removed entry if the key was removed.
    revision        INTEGER NOT NULL,
    expires         INTEGER,
    create_revision INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    flags           INTEGER NOT NULL,
    bytes           INTEGER NOT NULL,
    value           BLOB NOT NULL,
    PRIMARY KEY (keyspace, position)
) STRICT, WITHOUT ROWID;
