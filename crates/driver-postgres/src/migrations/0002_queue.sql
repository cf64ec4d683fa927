CREATE TABLE queues (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    keyspace     bigint NOT NULL,
    name         text COLLATE "C" NOT NULL,
    dead_letter  bigint,
    max_attempts integer NOT NULL DEFAULT 0,
    UNIQUE (keyspace, name)
);

-- Ids of messages, and their positions in queues.
CREATE SEQUENCE message_numbers AS bigint CACHE 1 NO CYCLE;

CREATE TABLE messages (
    id         bigint PRIMARY KEY,
    keyspace   bigint NOT NULL,
    queue      bigint NOT NULL,
    -- The order among messages of the same priority. A message gets a new number when it is enqueued, when its delay ends, and when it
    -- moves to another queue.
    place      bigint NOT NULL,
    -- When the lease or the delay ends.
    due        timestamptz NOT NULL,
    -- A random number of the delivery; 0 if there is no lease.
    lease      bigint NOT NULL DEFAULT 0,
    -- For a message in a dead-letter queue: the queue in which it failed.
    source     bigint,
    enqueued   timestamptz NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    -- 0 ready, 1 leased, 2 scheduled.
    state      smallint NOT NULL,
    priority   smallint NOT NULL,
    -- As a protobuf message with one map.
    attributes bytea NOT NULL,
    payload    bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX messages_order ON messages (queue, state, priority DESC, place, id);
CREATE INDEX messages_due ON messages (keyspace, due) WHERE state > 0;
CREATE INDEX messages_source ON messages (queue, source, id) WHERE source IS NOT NULL
