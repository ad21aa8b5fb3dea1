-- Environments are made and removed by tenants, and their networks with them.

-- The row of one that was removed stays, as the end of its apps' history. Its slug does not: another one may take it.
ALTER TABLE environments ADD COLUMN removed_at timestamptz;

ALTER TABLE networks
    -- Whether its containers reach the world outside.
    ADD COLUMN access text NOT NULL DEFAULT 'egress' CHECK (access IN ('egress', 'internal')),
    -- As the platform was set when it was made: Docker changes no network.
    ADD COLUMN encrypted boolean NOT NULL DEFAULT true,
    -- Since when it is to leave the swarm; its row goes when it has.
    ADD COLUMN retired_at timestamptz;
ALTER TABLE networks DROP CONSTRAINT networks_environment_id_key;
CREATE UNIQUE INDEX networks_of_environment ON networks (environment_id) WHERE retired_at IS NULL;
CREATE INDEX networks_retired ON networks (retired_at) WHERE retired_at IS NOT NULL;

-- Whether overlay networks are encrypted: off is for swarms whose kernel cannot.
ALTER TABLE platform
    ADD COLUMN encryption text NOT NULL DEFAULT 'on' CHECK (encryption IN ('on', 'off'));

-- Subnets that were freed lately. A node keeps its copy of a removed network for some time, and refuses tasks on another
-- one that overlaps it.
CREATE TABLE resting_subnets (
    subnet cidr PRIMARY KEY,
    -- Whose it was: until it is free, it counts among theirs.
    organization_id uuid NOT NULL REFERENCES organizations,
    until timestamptz NOT NULL
);
CREATE INDEX resting_subnets_of_organization ON resting_subnets (organization_id);
ALTER TABLE resting_subnets ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON resting_subnets TO skep_api USING (
    organization_id = coalesce((SELECT skep_wall()), organization_id));
CREATE POLICY worker ON resting_subnets TO skep_worker USING (true);
CREATE FUNCTION subnet_rests() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM resting_subnets WHERE until <= now();
    INSERT INTO resting_subnets (subnet, organization_id, until)
        VALUES (OLD.subnet, OLD.organization_id, now() + interval '10 minutes')
        ON CONFLICT (subnet) DO UPDATE SET
            organization_id = EXCLUDED.organization_id, until = EXCLUDED.until;
    RETURN NULL;
END $$;
CREATE TRIGGER subnet_rests AFTER DELETE ON networks FOR EACH ROW EXECUTE FUNCTION subnet_rests();

-- Ranges that no network is given: what operators name, and what workers find in use in Docker.
CREATE TABLE reserved_ranges (
    id uuid PRIMARY KEY,
    range cidr NOT NULL CHECK (family(range) = 4),
    source text NOT NULL CHECK (source IN ('operator', 'docker')),
    -- What it is: an operator's words, or the name of a network of Docker's.
    note text NOT NULL CHECK (length(note) BETWEEN 1 AND 200),
    -- When a worker saw it last.
    seen_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((source = 'docker') = (seen_at IS NOT NULL)),
    UNIQUE (range, source, note)
);

-- Everything that a new subnet must not overlap. A view runs as its owner: who makes an environment sees the ranges of
-- everybody's networks, and not whose they are.
CREATE VIEW taken_ranges AS
    SELECT subnet AS range FROM networks
    UNION ALL SELECT subnet FROM resting_subnets WHERE until > now()
    UNION ALL SELECT range FROM reserved_ranges;

GRANT SELECT ON resting_subnets, reserved_ranges, taken_ranges TO skep_api, skep_worker;
GRANT UPDATE (slug, removed_at, updated_at) ON environments TO skep_api;
GRANT UPDATE (retired_at, updated_at) ON networks TO skep_api;
GRANT INSERT, DELETE ON subnet_pools TO skep_api;
GRANT INSERT, DELETE ON reserved_ranges TO skep_api;
GRANT INSERT, DELETE ON reserved_ranges TO skep_worker;
GRANT UPDATE (seen_at, updated_at) ON reserved_ranges TO skep_worker;
