-- Times are milliseconds since 1970. All tables refer to keyspaces.id, which is not visible outside of the file.

CREATE TABLE keyspaces (
    id        INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    slot      TEXT NOT NULL,
    -- The last used number: a revision of a key or the id of a message. Never decreases.
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
    -- Retention has removed the records below this offset. A reader whose position is lower has missed records.
    expired_to  INTEGER NOT NULL DEFAULT 0,
    -- The time of the last record. Times never decrease, even if the clock is set back.
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

-- Ids are never reused: a member of a deleted group must not become a member of another group.
CREATE TABLE consumer_groups (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    stream   INTEGER NOT NULL,
    name     TEXT NOT NULL,
    -- The first offset that was not delivered yet.
    position INTEGER NOT NULL,
    UNIQUE (stream, name)
) STRICT;

-- The members of groups on all gateways. After a crash, a gateway no longer renews its members, and they expire.
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
    -- Number of deliveries. 0: the member left before its client got the record.
    attempt        INTEGER NOT NULL,
    -- When the record is delivered again. 0: at once, because the member has left.
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
    -- The order among messages of the same priority. A message gets a new number when it is enqueued, when its
    -- delay ends, and when it moves to another queue.
    place      INTEGER NOT NULL,
    -- When the lease or the delay ends.
    due        INTEGER NOT NULL,
    lease      INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    -- For a message in a dead-letter queue: the queue in which it failed.
    source     INTEGER,
    enqueued   INTEGER NOT NULL,
    attributes BLOB NOT NULL,
    payload    BLOB NOT NULL,
    PRIMARY KEY (keyspace, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX messages_order ON messages (queue, state, priority DESC, place, id);
CREATE INDEX messages_due ON messages (due) WHERE state > 0;
CREATE INDEX messages_source ON messages (queue, source, id) WHERE source IS NOT NULL;
