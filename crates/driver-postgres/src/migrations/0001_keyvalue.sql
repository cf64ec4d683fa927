-- All tables refer to keyspaces.id, which is not visible outside of the database.

CREATE TABLE keyspaces (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace text COLLATE "C" NOT NULL,
    slot      text COLLATE "C" NOT NULL,
    UNIQUE (namespace, slot)
);

-- The revisions of all keyspaces. A cache of more than 1 would mix up their order.
CREATE SEQUENCE revisions AS bigint CACHE 1 NO CYCLE;

CREATE TABLE entries (
    keyspace        bigint NOT NULL,
    revision        bigint NOT NULL,
    create_revision bigint NOT NULL,
    version         bigint NOT NULL,
    -- An unsigned number of 64 bits, stored as the signed number with the same bits.
    flags           bigint NOT NULL,
    -- An entry that has expired is not there. NULL: never expires.
    expires         timestamptz,
    key             bytea NOT NULL,
    value           bytea NOT NULL,
    PRIMARY KEY (keyspace, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX entries_expires ON entries (expires) WHERE expires IS NOT NULL
