-- Addresses of networks are counted before Docker is asked: where there are too few, its tasks wait for ever and nothing
-- says why.

-- What a release may need at most: its replicas, those that run beside them in an update, and a virtual address.
CREATE FUNCTION addresses_needed(release uuid, replicas integer) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT replicas
        + CASE WHEN r.spec -> 'update_policy' ->> 'order' = 'stop-first' THEN 0
            ELSE least((r.spec -> 'update_policy' ->> 'parallelism')::integer, replicas) END
        + CASE WHEN coalesce(r.spec ->> 'endpoint_mode', p.endpoint_mode) = 'dnsrr' THEN 0 ELSE 1 END
    FROM releases r CROSS JOIN platform p WHERE r.id = release
$$;

ALTER TABLE deployments ADD COLUMN addresses integer CHECK (addresses >= 0);
-- Of what an older version of the API accepts, nobody says it.
CREATE FUNCTION addresses_of_deployment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.addresses := CASE WHEN NEW.kind = 'remove' THEN 0
        ELSE coalesce(addresses_needed(NEW.release_id, NEW.replicas), 0) END;
    RETURN NEW;
END $$;
CREATE TRIGGER addresses_of_deployment BEFORE INSERT ON deployments
    FOR EACH ROW WHEN (NEW.addresses IS NULL) EXECUTE FUNCTION addresses_of_deployment();
-- What the last verdict left an app with, and what is kept for it: that, or what a deployment on its way may need.
ALTER TABLE apps
    ADD COLUMN live_addresses integer NOT NULL DEFAULT 0 CHECK (live_addresses >= 0),
    ADD COLUMN reserved_addresses integer NOT NULL DEFAULT 0 CHECK (reserved_addresses >= 0);
-- What is kept for all apps of a network together.
ALTER TABLE networks ADD COLUMN reserved_addresses integer NOT NULL DEFAULT 0 CHECK (reserved_addresses >= 0);

-- What workers saw of the swarm. One row.
CREATE TABLE swarm_seen (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    nodes integer NOT NULL CHECK (nodes > 0),
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION addresses_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Twice: who waited for a network that was retired meanwhile finds the one that took its place.
    FOR attempt IN 1..2 LOOP
        UPDATE networks SET reserved_addresses = reserved_addresses + NEW.reserved_addresses - OLD.reserved_addresses
            WHERE environment_id = NEW.environment_id AND retired_at IS NULL;
        EXIT WHEN FOUND;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER addresses_kept AFTER UPDATE OF reserved_addresses ON apps
    FOR EACH ROW WHEN (NEW.reserved_addresses <> OLD.reserved_addresses) EXECUTE FUNCTION addresses_kept();

-- Addresses of a network that tasks and virtual addresses can have: all but the first, the last, the gateway's, and one for
-- each node.
CREATE FUNCTION network_capacity(subnet cidr) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT (1 << (32 - masklen(subnet))) - 3 - coalesce((SELECT nodes FROM swarm_seen), 1)
$$;

-- What is deployed already, and what is on its way.
UPDATE deployments SET addresses =
        CASE WHEN kind = 'remove' THEN 0 ELSE coalesce(addresses_needed(release_id, replicas), 0) END
    WHERE finished_at IS NULL;
UPDATE apps SET live_addresses = kept.live, reserved_addresses = greatest(kept.live, kept.coming)
FROM (
    SELECT a.id, coalesce(addresses_needed(a.live_release_id, coalesce(a.live_replicas, a.replicas)), 0) AS live,
        coalesce((SELECT max(addresses) FROM deployments d WHERE d.app_id = a.id AND d.finished_at IS NULL), 0) AS coming
    FROM apps a WHERE a.removed_at IS NULL
) kept
WHERE kept.id = apps.id;

GRANT SELECT ON swarm_seen TO skep_api, skep_worker;
GRANT INSERT, UPDATE ON swarm_seen TO skep_worker;
GRANT UPDATE (reserved_addresses) ON apps TO skep_api;
GRANT UPDATE (live_addresses, reserved_addresses) ON apps TO skep_worker;
GRANT UPDATE (reserved_addresses) ON networks TO skep_api, skep_worker;

ALTER TABLE drift DROP CONSTRAINT drift_kind_check;
ALTER TABLE drift ADD CONSTRAINT drift_kind_check CHECK (kind IN
    ('missing', 'changed', 'taken_back', 'short', 'orphan', 'unknown', 'overlap'));
