-- Sets, sorted sets and lists. None of them has a row of its own, so there is nothing to remove with the last member or element. A transaction
-- that reads before it writes takes an advisory lock first, whose number is a hash of the keyspace and the key.

-- What tells a member from others: the member itself if it has at most 32 bytes, else 33 bytes: its SHA-256 and a zero byte. So two members
-- never have the same identity, and an index takes it.
CREATE FUNCTION member_identity(bytea) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length($1) <= 32 THEN $1 ELSE sha256($1) || '\x00'::bytea END
$$;

CREATE TABLE set_members (
    keyspace bigint NOT NULL,
    key      bytea NOT NULL,
    identity bytea NOT NULL,
    -- NULL if the identity is the member.
    member   bytea,
    PRIMARY KEY (keyspace, key, identity)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

CREATE TABLE sorted_set_members (
    keyspace bigint NOT NULL,
    key      bytea NOT NULL,
    identity bytea NOT NULL,
    score    double precision NOT NULL,
    member   bytea NOT NULL,
    PRIMARY KEY (keyspace, key, identity)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

-- The order of a sorted set. An index does not take long members, so it has their first bytes, which have the same order.
CREATE INDEX sorted_set_members_order ON sorted_set_members (keyspace, key, score, substring(member FROM 1 FOR 64));

CREATE TABLE list_elements (
    keyspace bigint NOT NULL,
    key      bytea NOT NULL,
    -- The elements of a list have consecutive positions.
    position bigint NOT NULL,
    value    bytea NOT NULL,
    -- Positions are unique again at the end of a statement that shifts elements.
    PRIMARY KEY (keyspace, key, position) DEFERRABLE INITIALLY IMMEDIATE
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)
