-- Document -------------------------------------------------------------------------------------------------------------

-- Collections keep their ids: one that has become empty stays.
CREATE TABLE document_collections (
    id       INTEGER PRIMARY KEY,
    keyspace INTEGER NOT NULL,
    name     TEXT NOT NULL,
    UNIQUE (keyspace, name)
) STRICT;

CREATE TABLE documents (
    number     INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL,
    -- The UTF-8 of the id.
    id         BLOB NOT NULL,
    revision   INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    expires    INTEGER,
    -- As JSON.
    body       TEXT NOT NULL,
    UNIQUE (collection, id)
) STRICT;

CREATE INDEX documents_expires ON documents (expires) WHERE expires IS NOT NULL;

-- The indexes of collections. That with the number 7 is the index document_index_7, and if it is unique, also document_unique_7. Their expressions are functions of
-- Prism (document_key, document_unique), so other programs can read the table, but not write it while it has such indexes.
CREATE TABLE document_indexes (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL,
    name       TEXT NOT NULL,
    -- As a protobuf message.
    definition BLOB NOT NULL,
    UNIQUE (collection, name)
) STRICT;
