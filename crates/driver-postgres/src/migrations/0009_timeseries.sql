-- Time series. Times are milliseconds since 1970, names the bytes of their UTF-8.

-- Names keep their ids: one without series stays.
CREATE TABLE series_names (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    keyspace bigint NOT NULL,
    name     bytea NOT NULL,
    -- Greatest age of points in milliseconds. NULL = points live forever.
    max_age  bigint,
    UNIQUE (keyspace, name)
);

CREATE INDEX series_names_aging ON series_names (id) WHERE max_age IS NOT NULL;

-- Each series has at least one point. A statement that writes or removes points of a series locks its row first. An insertion changes no indexed column, unless a point
-- is older than all others, and rows have room for such changes.
CREATE TABLE series (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name   bigint NOT NULL,
    -- The SHA-256 of the labels, in whose order series are read. An index does not take long labels.
    digest bytea NOT NULL,
    -- The labels as a protobuf message, in the order of their names.
    labels bytea NOT NULL,
    -- No point is older.
    oldest bigint NOT NULL,
    UNIQUE (name, digest)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX series_oldest ON series (name, oldest);

CREATE TABLE points (
    series bigint NOT NULL,
    time   bigint NOT NULL,
    value  double precision NOT NULL,
    PRIMARY KEY (series, time)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)
