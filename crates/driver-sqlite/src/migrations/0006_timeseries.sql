-- Time series. Times are milliseconds since 1970.

CREATE TABLE series_names (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    keyspace INTEGER NOT NULL,
    name     TEXT NOT NULL,
    -- Greatest age of points in milliseconds. NULL = points live forever.
    max_age  INTEGER,
    UNIQUE (keyspace, name)
) STRICT;

-- Each series has at least one point. Ids are never reused: a stream must not continue with the points of another series.
CREATE TABLE series (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    name   INTEGER NOT NULL,
    -- The labels as a protobuf message, in the order of their names.
    labels BLOB NOT NULL,
    -- No point is older.
    oldest INTEGER NOT NULL,
    UNIQUE (name, labels)
) STRICT;

CREATE INDEX series_oldest ON series (name, oldest);

CREATE TABLE points (
    series INTEGER NOT NULL,
    time   INTEGER NOT NULL,
    value  REAL NOT NULL,
    PRIMARY KEY (series, time)
) STRICT, WITHOUT ROWID;
