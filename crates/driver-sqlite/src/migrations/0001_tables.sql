-- Instants are milliseconds since 1970. All tables hang on keyspaces.id, which nobody else sees.

CREATE TABLE keyspaces (
    id        INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    slot      TEXT NOT NULL,
    -- The last number that was given out: revisions of keys and ids of messages. Never goes back.
    revision  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (namespace, slot)
) STRICT;

-- Key-value ------------------------------------------------------------------------------------------------------------

CREATE TABLE entries (
    keyspace INTEGER NOT NULL,
    key      BLOB NOT NULL,
    revision INTEGER NOT NULL,
    expires  INTEGER,
    value    BLOB NOT NULL,
    PRIMARY KEY (keyspace, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX entries_expires ON entries (expires) WHERE expires IS NOT NULL;

-- Stream ---------------------------------------------------------------------------------------------------------------

CREATE TABLE streams (
    id          INTEGER PRIMARY KEY,
    keyspace    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    next_offset INTEGER NOT NULL DEFAULT 0,
    -- Retention has removed records below this offset; a cursor behind it has lost something.
    expired_to  INTEGER NOT NULL DEFAULT 0,
    -- The last append_time, so that a clock that is set back does not let it decrease.
    last_time   INTEGER NOT NULL DEFAULT 0,
    records     INTEGER NOT NULL DEFAULT 0,
    bytes       INTEGER NOT NULL DEFAULT 0,
    max_age     INTEGER,
    max_records INTEGER,
    max_bytes   INTEGER,
    UNIQUE (keyspace, name)
) STRICT;

CREATE TABLE records (
    stream     INTEGER NOT NULL,
    offset     INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    key        BLOB NOT NULL,
    attributes BLOB NOT NULL,
    payload    BLOB NOT NULL,
    PRIMARY KEY (stream, offset)
) STRICT, WITHOUT ROWID;

-- Ids are never used again: members of a deleted group must not find themselves in another one.
CREATE TABLE consumer_groups (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    stream   INTEGER NOT NULL,
    name     TEXT NOT NULL,
    -- The first offset that no member got yet.
    position INTEGER NOT NULL,
    UNIQUE (stream, name)
) STRICT;

-- Who reads in a group, on any gateway. A gateway that crashed no longer renews its members.
CREATE TABLE members (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer_group INTEGER NOT NULL,
    name           TEXT NOT NULL,
    expires        INTEGER NOT NULL
) STRICT;

CREATE INDEX members_group ON members (consumer_group);
CREATE INDEX members_expires ON members (expires);

-- Records that wait for an acknowledgement.
CREATE TABLE deliveries (
    consumer_group INTEGER NOT NULL,
    offset         INTEGER NOT NULL,
    member         INTEGER NOT NULL,
    -- How often it was delivered; 0: its member left before it took the record.
    attempt        INTEGER NOT NULL,
    -- When it is delivered again; 0: at once, because its member has left.
    expires        INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, offset)
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_expires ON deliveries (consumer_group, expires);
CREATE INDEX deliveries_member ON deliveries (member, expires);

-- Queue ----------------------------------------------------------------------------------------------------------------

CREATE TABLE queues (
    id           INTEGER PRIMARY KEY,
    keyspace     INTEGER NOT NULL,
    name         TEXT NOT NULL,
    dead_letter  INTEGER,
    max_attempts INTEGER NOT NULL DEFAULT 0,
    UNIQUE (keyspace, name)
) STRICT;

CREATE TABLE messages (
    keyspace   INTEGER NOT NULL,
    id         INTEGER NOT NULL,
    queue      INTEGER NOT NULL,
    -- 0 ready, 1 leased, 2 scheduled.
    state      INTEGER NOT NULL,
    priority   INTEGER NOT NULL,
    -- When it became ready for the first time: its place among those of the same priority.
    place      INTEGER NOT NULL,
    -- When a lease or a delay is over.
    due        INTEGER NOT NULL,
    lease      INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    -- The queue that it failed in, if this one is its dead-letter queue.
    source     INTEGER,
    enqueued   INTEGER NOT NULL,
    attributes BLOB NOT NULL,
    payload    BLOB NOT NULL,
    PRIMARY KEY (keyspace, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX messages_order ON messages (queue, state, priority DESC, place, id);
CREATE INDEX messages_due ON messages (due) WHERE state > 0;
CREATE INDEX messages_source ON messages (queue, source, id) WHERE source IS NOT NULL;
