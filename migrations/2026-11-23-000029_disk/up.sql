-- What apps have written to disk, as their nodes' daemons count it now and then. Accounted: nothing stops a container from writing more.

-- What is done about an app of which a replica has written as much as it may.
ALTER TABLE platform ADD COLUMN on_disk_full text NOT NULL DEFAULT 'warn' CHECK (on_disk_full IN ('warn', 'stop'));

CREATE TABLE app_disk (
    app_id uuid PRIMARY KEY REFERENCES apps ON DELETE CASCADE,
    organization_id uuid NOT NULL REFERENCES organizations,
    -- Each replica: its task, its node, its bytes.
    replicas jsonb NOT NULL CHECK (jsonb_typeof(replicas) = 'array'),
    -- Of the replica that has written most.
    used_bytes bigint NOT NULL CHECK (used_bytes >= 0),
    -- What each may have.
    limit_bytes bigint NOT NULL CHECK (limit_bytes > 0),
    level text NOT NULL CHECK (level IN ('normal', 'high', 'full')),
    -- Since when the level is this.
    since timestamptz NOT NULL DEFAULT now(),
    measured_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX app_disk_of_organization ON app_disk (organization_id);
ALTER TABLE app_disk ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON app_disk TO skep_api USING (organization_id = coalesce((SELECT skep_wall()), organization_id));
CREATE POLICY worker ON app_disk TO skep_worker USING (true);
GRANT SELECT ON app_disk TO skep_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON app_disk TO skep_worker;

-- When disks are measured next: one worker at a time does. One row.
CREATE TABLE disk_rounds (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    next_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO disk_rounds DEFAULT VALUES;
GRANT SELECT, UPDATE ON disk_rounds TO skep_worker;

-- The platform stops apps, too.
ALTER TABLE deployments DROP CONSTRAINT deployments_requested_by_somebody;
ALTER TABLE deployments ADD CONSTRAINT deployments_requested_by_somebody
    CHECK (kind IN ('repair', 'remove', 'stop') OR requested_by IS NOT NULL);
