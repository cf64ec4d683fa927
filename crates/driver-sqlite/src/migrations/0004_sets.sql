-- Sets and sorted sets. Each has at least one member: its row is removed with the last one.

CREATE TABLE sets (
    id       INTEGER PRIMARY KEY,
    keyspace INTEGER NOT NULL,
    key      BLOB NOT NULL,
    size     INTEGER NOT NULL DEFAULT 0,
    UNIQUE (keyspace, key)
) STRICT;

CREATE TABLE set_members (
    set_id   INTEGER NOT NULL,
    -- The member itself if it has at most 32 bytes, else 33 bytes: its SHA-256 and a zero byte. So two members never have the same identity.
    identity BLOB NOT NULL,
    -- The members of a set have the numbers 1 to `size`, so that a random one is found by its number.
    number   INTEGER NOT NULL,
    -- NULL if the identity is the member.
    member   BLOB,
    PRIMARY KEY (set_id, identity)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX set_members_number ON set_members (set_id, number);

CREATE TABLE sorted_sets (
    id       INTEGER PRIMARY KEY,
    keyspace INTEGER NOT NULL,
    key      BLOB NOT NULL,
    size     INTEGER NOT NULL DEFAULT 0,
    UNIQUE (keyspace, key)
) STRICT;

CREATE TABLE sorted_set_members (
    set_id INTEGER NOT NULL,
    member BLOB NOT NULL,
    score  REAL NOT NULL,
    PRIMARY KEY (set_id, member)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX sorted_set_members_score ON sorted_set_members (set_id, score, member);
