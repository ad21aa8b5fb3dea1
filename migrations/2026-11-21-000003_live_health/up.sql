-- After a verdict: live health with its history, crash loops, drift, and repairs.

ALTER TABLE deployments DROP CONSTRAINT deployments_kind_check;
ALTER TABLE deployments ADD CONSTRAINT deployments_kind_check CHECK (kind IN
    ('deploy', 'rollback', 'restart', 'scale', 'stop', 'start', 'remove', 'repair'));
-- A repair is the platform's own: nobody's token asked for it.
ALTER TABLE deployments ALTER COLUMN requested_by DROP NOT NULL;
ALTER TABLE deployments ADD CONSTRAINT deployments_requested_by_somebody
    CHECK (kind = 'repair' OR requested_by IS NOT NULL);

-- Swarm's version of the service as the last verdict saw it, or as we wrote it since. Another one:
-- somebody else wrote it, or Swarm itself. NULL: the verdict of an older version of Skep.
ALTER TABLE apps ADD COLUMN live_version bigint;

-- What is done about a service that is not as its app's last verdict left it.
ALTER TABLE platform ADD COLUMN on_drift text NOT NULL DEFAULT 'repair'
    CHECK (on_drift IN ('report', 'repair'));

ALTER TABLE app_status DROP CONSTRAINT app_status_health_check;
ALTER TABLE app_status ADD CONSTRAINT app_status_health_check
    CHECK (health IN ('healthy', 'degraded', 'crash_looping', 'down', 'stopped'));
-- Names the time in which the health stays the same: the row of the history that it is.
ALTER TABLE app_status ADD COLUMN health_id uuid NOT NULL DEFAULT gen_random_uuid();

CREATE TABLE app_health (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    app_id uuid NOT NULL REFERENCES apps,
    health text NOT NULL CHECK (health IN ('healthy', 'degraded', 'crash_looping', 'down', 'stopped')),
    cause text,
    release_id uuid REFERENCES releases,
    since timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX app_health_page ON app_health (app_id, id);
CREATE INDEX app_health_age ON app_health (created_at);

-- Whoever writes a status: what it was is kept.
CREATE FUNCTION app_status_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app_health (id, organization_id, app_id, health, cause, release_id, since)
    VALUES (NEW.health_id, NEW.organization_id, NEW.app_id, NEW.health, NEW.cause, NEW.release_id,
        NEW.since)
    ON CONFLICT (id) DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER app_status_history_insert AFTER INSERT ON app_status
    FOR EACH ROW EXECUTE FUNCTION app_status_history();
CREATE TRIGGER app_status_history_update AFTER UPDATE ON app_status
    FOR EACH ROW WHEN (OLD.health_id <> NEW.health_id) EXECUTE FUNCTION app_status_history();

-- Apps whose tasks keep ending, and how they are slowed down: until `resumes_at` only `kept` of their
-- replicas are kept up.
CREATE TABLE crash_loops (
    app_id uuid PRIMARY KEY REFERENCES apps,
    organization_id uuid NOT NULL REFERENCES organizations,
    -- The deployment that wrote the service: one by a newer deployment is none of this.
    deployment_id uuid NOT NULL REFERENCES deployments,
    rounds smallint NOT NULL CHECK (rounds > 0),
    kept integer NOT NULL CHECK (kept BETWEEN 0 AND 100),
    resumes_at timestamptz NOT NULL,
    -- When every replica had run through the window again: remembered for a while.
    recovered_at timestamptz,
    cause text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What was found in Swarm that is not as Postgres has it.
CREATE TABLE drift (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN
        ('missing', 'changed', 'taken_back', 'short', 'orphan', 'unknown')),
    -- `service` or `network`, and its name in Swarm.
    object_type text NOT NULL CHECK (object_type IN ('service', 'network')),
    object text NOT NULL CHECK (length(object) BETWEEN 1 AND 255),
    organization_id uuid REFERENCES organizations,
    app_id uuid REFERENCES apps,
    sentence text NOT NULL,
    -- The repair that it led to.
    deployment_id uuid REFERENCES deployments,
    seen_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX drift_open ON drift (object_type, object, kind) WHERE resolved_at IS NULL;
CREATE INDEX drift_open_of_app ON drift (app_id) WHERE resolved_at IS NULL;
CREATE INDEX drift_age ON drift (resolved_at) WHERE resolved_at IS NOT NULL;

GRANT SELECT ON app_health, crash_loops, drift TO skep_api, skep_worker;
GRANT INSERT, DELETE ON app_health, crash_loops, drift TO skep_worker;
GRANT UPDATE ON crash_loops, drift TO skep_worker;
GRANT INSERT ON deployments TO skep_worker;
GRANT UPDATE (live_version) ON apps TO skep_worker;
