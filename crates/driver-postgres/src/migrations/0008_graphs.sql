-- Graphs. Ids and labels are the bytes of their UTF-8, so that any text is one, and so that their order is that of the contract.

CREATE TABLE graph_nodes (
    keyspace   bigint NOT NULL,
    id         bytea NOT NULL,
    -- Changes with each write.
    revision   bigint NOT NULL,
    labels     bytea[] NOT NULL,
    -- Bytes of the properties.
    size       integer NOT NULL,
    -- As they were written, which may have U+0000. PostgreSQL refuses to read only such strings.
    properties json NOT NULL,
    PRIMARY KEY (keyspace, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

CREATE TABLE graph_edges (
    keyspace   bigint NOT NULL,
    id         bytea NOT NULL,
    revision   bigint NOT NULL,
    label      bytea NOT NULL,
    from_node  bytea NOT NULL,
    to_node    bytea NOT NULL,
    size       integer NOT NULL,
    properties json NOT NULL,
    PRIMARY KEY (keyspace, id),
    -- An edge has both its nodes, whatever happens at the same time.
    FOREIGN KEY (keyspace, from_node) REFERENCES graph_nodes,
    FOREIGN KEY (keyspace, to_node) REFERENCES graph_nodes
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

-- Walks read only these indexes.
CREATE INDEX graph_edges_from ON graph_edges (keyspace, from_node, id) INCLUDE (label, to_node);
CREATE INDEX graph_edges_to ON graph_edges (keyspace, to_node, id) INCLUDE (label, from_node)
