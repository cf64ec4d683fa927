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

-- Statistics, which are never updated. Without them, SQLite assumes that a collection has ten documents, and reads all of them instead of using an index
-- of the collection. The first ANALYZE makes the table of statistics, the second one reads it.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('documents', 'sqlite_autoindex_documents_1', '1000000 100000 1');
ANALYZE sqlite_schema;
