-- Collections keep their ids: one that has become empty stays. The documents of the collection with the id 7 are in the table documents_7, which is created
-- with it, so that its indexes and the locks for making them concern no other collection.
CREATE TABLE document_collections (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    keyspace bigint NOT NULL,
    name     text COLLATE "C" NOT NULL,
    -- Whether documents with a time to live were written.
    expiring boolean NOT NULL DEFAULT false,
    UNIQUE (keyspace, name)
);

CREATE INDEX document_collections_expiring ON document_collections (id) WHERE expiring;

-- The indexes of collections. That with the number 7 is the index document_index_7, and if it is unique, also document_unique_7.
CREATE TABLE document_indexes (
    collection bigint NOT NULL,
    number     bigint GENERATED ALWAYS AS IDENTITY,
    name       text COLLATE "C" NOT NULL,
    -- As a protobuf message.
    definition bytea NOT NULL,
    PRIMARY KEY (collection, name)
);

CREATE UNIQUE INDEX document_indexes_number ON document_indexes (number);

-- A value as bytes, whose order is that of the contract: no value, null, false, true, numbers, strings by their bytes, lists, objects.
-- Equal values have equal bytes. Indexes have been built with this function, so what it returns never changes.
CREATE FUNCTION document_key(value jsonb) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    number double precision;
    bits bit(64);
BEGIN
    IF value IS NULL THEN
        RETURN '\x00'::bytea;
    END IF;
    CASE jsonb_typeof(value)
        WHEN 'string' THEN
            RETURN '\x05'::bytea || convert_to(value #>> '{}', 'UTF8');
        WHEN 'number' THEN
            number := value::double precision;
            bits := ('x' || encode(float8send(number), 'hex'))::bit(64);
            IF number < 0 THEN
                bits := ~bits;
            ELSE
                bits := set_bit(bits, 0, 1);
            END IF;
            RETURN '\x04'::bytea || int8send(bits::bigint);
        WHEN 'boolean' THEN
            RETURN CASE WHEN value = 'true'::jsonb THEN '\x03'::bytea ELSE '\x02'::bytea END;
        WHEN 'null' THEN
            RETURN '\x01'::bytea;
        WHEN 'array' THEN
            RETURN '\x06'::bytea || sha256(convert_to(value::text, 'UTF8'));
        ELSE
            RETURN '\x07'::bytea || sha256(convert_to(value::text, 'UTF8'));
    END CASE;
END $$
