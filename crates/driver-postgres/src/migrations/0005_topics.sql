-- Messages that are too large for a notification, until the gateways have read them. Nobody waits for them after a crash of the server.
CREATE UNLOGGED TABLE large_messages (
    -- A random number.
    id        bigint PRIMARY KEY,
    published timestamptz NOT NULL DEFAULT now(),
    message   bytea NOT NULL
);

CREATE INDEX large_messages_published ON large_messages (published);

-- The numbers of messages that are ordered by a key.
CREATE TABLE ordering_keys (
    keyspace     bigint NOT NULL,
    topic        text COLLATE "C" NOT NULL,
    ordering_key bytea NOT NULL,
    -- That of the last message. A transaction that publishes keeps the lock on this row until its end.
    sequence     bigint NOT NULL,
    used         timestamptz NOT NULL,
    PRIMARY KEY (keyspace, topic, ordering_key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX ordering_keys_used ON ordering_keys (used);

CREATE TABLE durable_subscriptions (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The stored messages of the topic.
    stream   bigint NOT NULL,
    name     text COLLATE "C" NOT NULL,
    -- The first offset that was not acknowledged.
    position bigint NOT NULL,
    UNIQUE (stream, name)
) WITH (fillfactor = 50)
