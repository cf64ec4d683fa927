-- Histories of keyspaces, for watches. A keyspace has one while it is watched, and for some time after that.

CREATE TABLE histories (
    keyspace bigint PRIMARY KEY,
    -- A random number: positions are valid in one history only.
    epoch    bigint NOT NULL,
    -- Changes up to this position were removed.
    removed  bigint NOT NULL DEFAULT 0,
    -- When the history ends, if nobody watches.
    until    timestamptz NOT NULL
);

-- The positions of changes. A cache of more than 1 would mix up their order.
CREATE SEQUENCE change_positions AS bigint CACHE 1 NO CYCLE;

CREATE TABLE changes (
    keyspace        bigint NOT NULL,
    position        bigint NOT NULL,
    -- 0 stored, 1 deleted, 2 expired.
    kind            smallint NOT NULL,
    revision        bigint NOT NULL,
    create_revision bigint NOT NULL,
    version         bigint NOT NULL,
    flags           bigint NOT NULL,
    expires         timestamptz,
    bytes           bigint NOT NULL,
    key             bytea NOT NULL,
    value           bytea NOT NULL,
    PRIMARY KEY (keyspace, position) INCLUDE (bytes)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

-- Records a change of a row. The position is taken when the row is locked and the transaction has its number, so that changes of a key are
-- in the order of their positions, and a reader can wait for the transactions that have taken positions. Revision 0 is a row that only
-- holds a place inside a transaction.
CREATE FUNCTION record_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.revision > 0 AND EXISTS (SELECT 1 FROM histories WHERE keyspace = OLD.keyspace AND until > now()) THEN
            INSERT INTO changes (keyspace, position, kind, revision, create_revision, version, flags, bytes, key, value)
            VALUES (OLD.keyspace, nextval('change_positions'), CASE WHEN OLD.expires <= clock_timestamp() THEN 2 ELSE 1 END,
                    OLD.revision, 0, 0, 0, length(OLD.key), OLD.key, '');
        END IF;
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.revision = OLD.revision THEN
            RETURN NULL;
        END IF;
    ELSIF NEW.revision = 0 THEN
        RETURN NULL;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM histories WHERE keyspace = NEW.keyspace AND until > now()) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF OLD.revision > 0 AND OLD.expires <= clock_timestamp() THEN
            INSERT INTO changes (keyspace, position, kind, revision, create_revision, version, flags, bytes, key, value)
            VALUES (OLD.keyspace, nextval('change_positions'), 2, OLD.revision, 0, 0, 0, length(OLD.key), OLD.key, '');
        END IF;
    END IF;
    INSERT INTO changes (keyspace, position, kind, revision, create_revision, version, flags, expires, bytes, key, value)
    VALUES (NEW.keyspace, nextval('change_positions'), 0, NEW.revision, NEW.create_revision, NEW.version, NEW.flags, NEW.expires,
            length(NEW.key) + length(NEW.value), NEW.key, NEW.value);
    RETURN NULL;
END $$;

CREATE TRIGGER record_change AFTER INSERT OR UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION record_change();

-- Writes cost nothing more until a keyspace is watched.
ALTER TABLE entries DISABLE TRIGGER record_change
