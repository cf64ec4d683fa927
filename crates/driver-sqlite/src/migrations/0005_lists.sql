-- Lists. Each has at least one element: its row is removed with the last one.

CREATE TABLE lists (
    id       INTEGER PRIMARY KEY,
    keyspace INTEGER NOT NULL,
    key      BLOB NOT NULL,
    -- Position of the first element. The elements have consecutive positions.
    first    INTEGER NOT NULL,
    length   INTEGER NOT NULL,
    UNIQUE (keyspace, key)
) STRICT;

CREATE TABLE list_elements (
    list     INTEGER NOT NULL,
    position INTEGER NOT NULL,
    value    BLOB NOT NULL,
    PRIMARY KEY (list, position)
) STRICT, WITHOUT ROWID;

-- The calls on all gateways that wait for an element: one row for each of their lists.
CREATE TABLE list_waiters (
    keyspace INTEGER NOT NULL,
    key      BLOB NOT NULL,
    -- When the call came, in nanoseconds since 1970. No two calls of a gateway have the same number.
    number   INTEGER NOT NULL,
    gateway  INTEGER NOT NULL,
    PRIMARY KEY (keyspace, key, number, gateway)
) STRICT, WITHOUT ROWID;

CREATE INDEX list_waiters_gateway ON list_waiters (gateway, number);

-- The gateways on which calls wait. After a crash, a gateway no longer renews its row, and its calls don't count any longer.
CREATE TABLE waiting_gateways (
    id      INTEGER PRIMARY KEY,
    expires INTEGER NOT NULL
) STRICT;
