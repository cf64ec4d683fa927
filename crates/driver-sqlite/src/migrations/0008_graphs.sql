-- Graphs. Every edge has both its nodes.

CREATE TABLE graph_nodes (
    number     INTEGER PRIMARY KEY,
    keyspace   INTEGER NOT NULL,
    -- The UTF-8 of the id, here and below.
    id         BLOB NOT NULL,
    -- As a JSON array.
    labels     TEXT NOT NULL,
    -- As JSON.
    properties TEXT NOT NULL,
    UNIQUE (keyspace, id)
) STRICT;

CREATE TABLE graph_edges (
    number     INTEGER PRIMARY KEY,
    keyspace   INTEGER NOT NULL,
    id         BLOB NOT NULL,
    label      TEXT NOT NULL,
    from_node  BLOB NOT NULL,
    to_node    BLOB NOT NULL,
    properties TEXT NOT NULL,
    UNIQUE (keyspace, id)
) STRICT;

-- The edges of a node are found without reading the table.
CREATE INDEX graph_edges_from ON graph_edges (keyspace, from_node, id, to_node, label);
CREATE INDEX graph_edges_to ON graph_edges (keyspace, to_node, id, from_node, label);
