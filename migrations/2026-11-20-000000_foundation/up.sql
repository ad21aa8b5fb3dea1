-- The foundation: organizations, environments and their networks, apps, releases, deployments.
-- The roles skep_owner, skep_api and skep_worker are made by `worker bootstrap`: roles belong to
-- the cluster, migrations to one database.

-- One row: what this installation is called in Swarm and how it is set.
CREATE TABLE platform (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    name text NOT NULL CHECK (name ~ '^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$'),
    endpoint_mode text NOT NULL CHECK (endpoint_mode IN ('vip', 'dnsrr')),
    local_images boolean NOT NULL,
    cpu_reservation_ratio real NOT NULL CHECK (cpu_reservation_ratio BETWEEN 0 AND 1),
    memory_reservation_ratio real NOT NULL CHECK (memory_reservation_ratio BETWEEN 0 AND 1),
    tenants_on_managers boolean NOT NULL,
    network_mtu integer CHECK (network_mtu BETWEEN 576 AND 9216),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (length(slug) BETWEEN 1 AND 40),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- organization_id NULL: an operator's token.
CREATE TABLE tokens (
    id uuid PRIMARY KEY,
    organization_id uuid REFERENCES organizations,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    secret_hash bytea NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tokens_of_organization ON tokens (organization_id, id);

CREATE TABLE environments (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    slug text NOT NULL CHECK (length(slug) BETWEEN 1 AND 40),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, slug)
);

-- The ranges that networks are carved from. `cursor` is where the next search starts, so that
-- an allocation costs the same however many there are, and a freed subnet rests before reuse.
CREATE TABLE subnet_pools (
    id uuid PRIMARY KEY,
    range cidr NOT NULL CHECK (family(range) = 4),
    cursor inet NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    EXCLUDE USING gist (range inet_ops WITH &&)
);

CREATE TABLE networks (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    environment_id uuid NOT NULL UNIQUE REFERENCES environments,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),
    subnet cidr NOT NULL CHECK (family(subnet) = 4 AND masklen(subnet) BETWEEN 22 AND 26),
    mtu integer CHECK (mtu BETWEEN 576 AND 9216),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Two networks that overlap are impossible, whatever the allocator does.
    EXCLUDE USING gist (subnet inet_ops WITH &&)
);

CREATE TABLE apps (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    environment_id uuid NOT NULL REFERENCES environments,
    slug text NOT NULL CHECK (length(slug) BETWEEN 1 AND 40),
    service_name text NOT NULL UNIQUE CHECK (length(service_name) BETWEEN 1 AND 63),
    spec jsonb NOT NULL,
    spec_version smallint NOT NULL,
    replicas integer NOT NULL CHECK (replicas BETWEEN 0 AND 100),
    -- Number of the newest release; 0 before the first.
    last_release integer NOT NULL DEFAULT 0,
    -- The release that is live, as the last verdict left it, and the restart counter it runs with.
    live_release_id uuid,
    live_restart_counter bigint NOT NULL DEFAULT 0,
    live_replicas integer,
    -- Set when a removal is accepted; the row itself stays, as the end of the app's history.
    removal_requested_at timestamptz,
    removed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX apps_slug ON apps (environment_id, slug) WHERE removed_at IS NULL;
CREATE INDEX apps_page ON apps (environment_id, id) WHERE removed_at IS NULL;

CREATE TABLE releases (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    app_id uuid NOT NULL REFERENCES apps,
    number integer NOT NULL CHECK (number > 0),
    spec jsonb NOT NULL,
    spec_version smallint NOT NULL,
    -- `repository@sha256:…`, or `sha256:…` for a local image; NULL until a worker resolved it.
    resolved_image text,
    -- When the release was first live and healthy with at least one replica.
    stable_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (app_id, number)
);
ALTER TABLE apps ADD FOREIGN KEY (live_release_id) REFERENCES releases;

-- A release is a snapshot: what was written stays, a resolved image and `stable_at` are set once.
CREATE FUNCTION releases_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.organization_id, NEW.app_id, NEW.number, NEW.spec, NEW.spec_version, NEW.created_at)
       IS DISTINCT FROM
       (OLD.id, OLD.organization_id, OLD.app_id, OLD.number, OLD.spec, OLD.spec_version, OLD.created_at)
    THEN
        RAISE EXCEPTION 'release % is immutable', OLD.id;
    END IF;
    IF OLD.resolved_image IS NOT NULL AND NEW.resolved_image IS DISTINCT FROM OLD.resolved_image THEN
        RAISE EXCEPTION 'the image of release % was resolved once and stays', OLD.id;
    END IF;
    IF OLD.stable_at IS NOT NULL AND NEW.stable_at IS DISTINCT FROM OLD.stable_at THEN
        RAISE EXCEPTION 'release % is stable since %', OLD.id, OLD.stable_at;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER releases_immutable BEFORE UPDATE ON releases
    FOR EACH ROW EXECUTE FUNCTION releases_immutable();

-- Fencing numbers: every claim of any deployment gets a larger one than every claim before it.
CREATE SEQUENCE deployment_fences;

CREATE TABLE deployments (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    app_id uuid NOT NULL REFERENCES apps,
    release_id uuid REFERENCES releases,
    kind text NOT NULL CHECK (kind IN ('deploy', 'rollback', 'scale', 'remove')),
    status text NOT NULL CHECK (status IN ('queued', 'provisioning', 'updating', 'verifying',
        'rolling_back', 'succeeded', 'rolled_back', 'failed', 'canceled', 'superseded', 'stuck')),
    reason_code text,
    reason text,
    replicas integer NOT NULL CHECK (replicas BETWEEN 0 AND 100),
    restart_counter bigint NOT NULL,
    force boolean NOT NULL DEFAULT false,
    spec_version smallint NOT NULL,
    requested_by uuid NOT NULL REFERENCES tokens,
    -- The newer deployment that asked this one to end.
    superseded_by uuid,
    fence bigint NOT NULL DEFAULT 0,
    lease_owner uuid,
    lease_expires_at timestamptz,
    started_at timestamptz,
    -- When Swarm took our spec; when the newest replica became healthy; when all were.
    applied_at timestamptz,
    progressed_at timestamptz,
    healthy_since timestamptz,
    finished_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((finished_at IS NOT NULL) = (status IN
        ('succeeded', 'rolled_back', 'failed', 'canceled', 'superseded', 'stuck'))),
    CHECK (finished_at IS NULL OR (reason_code IS NOT NULL AND reason IS NOT NULL)),
    CHECK (kind = 'remove' OR release_id IS NOT NULL)
);
CREATE UNIQUE INDEX deployments_one_queued ON deployments (app_id) WHERE status = 'queued';
CREATE UNIQUE INDEX deployments_one_driving ON deployments (app_id)
    WHERE status IN ('provisioning', 'updating', 'verifying', 'rolling_back');
CREATE INDEX deployments_page ON deployments (app_id, id);
CREATE INDEX deployments_queue ON deployments (created_at) WHERE status = 'queued';
CREATE INDEX deployments_driving ON deployments (organization_id, lease_expires_at)
    WHERE status IN ('provisioning', 'updating', 'verifying', 'rolling_back');

-- A terminal status never changes again, whoever tries.
CREATE FUNCTION deployments_end_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'deployment % has ended as %', OLD.id, OLD.status;
END $$;
CREATE TRIGGER deployments_end_once BEFORE UPDATE ON deployments
    FOR EACH ROW WHEN (OLD.finished_at IS NOT NULL) EXECUTE FUNCTION deployments_end_once();

-- Wakes whoever waits for a deployment (`?wait=`); workers do not listen. NOTIFY serialises commits,
-- and accepts have to be many: so there is none for an INSERT. An accept that supersedes does fire
-- it, for the deployment that it ends or asks to end.
CREATE FUNCTION deployments_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('skep_deployments', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER deployments_notify AFTER UPDATE OF status, superseded_by ON deployments
    FOR EACH ROW WHEN (OLD.status <> NEW.status OR OLD.superseded_by IS DISTINCT FROM NEW.superseded_by)
    EXECUTE FUNCTION deployments_notify();

-- The timeline. Streams, outbound webhooks and the API read this one table.
CREATE TABLE deployment_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    deployment_id uuid NOT NULL REFERENCES deployments,
    status text NOT NULL,
    message text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX deployment_events_timeline ON deployment_events (deployment_id, id);

-- What proves a verdict: one row a deployment, written when the cause is seen (Swarm forgets).
CREATE TABLE deployment_evidence (
    deployment_id uuid PRIMARY KEY REFERENCES deployments,
    organization_id uuid NOT NULL REFERENCES organizations,
    evidence jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What is live, as a worker saw it last: the API has no other eye on Docker.
CREATE TABLE app_status (
    app_id uuid PRIMARY KEY REFERENCES apps,
    organization_id uuid NOT NULL REFERENCES organizations,
    health text NOT NULL CHECK (health IN ('healthy', 'degraded', 'down', 'stopped')),
    cause text,
    release_id uuid REFERENCES releases,
    desired integer NOT NULL,
    running integer NOT NULL,
    tasks jsonb NOT NULL,
    since timestamptz NOT NULL,
    observed_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Wake-ups to publish. A row is deleted when the broker has confirmed its message.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The first answer to a request, found again by its key.
CREATE TABLE idempotency_keys (
    token_id uuid NOT NULL REFERENCES tokens,
    route text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash bytea NOT NULL,
    deployment_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (token_id, route, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE TABLE audit_log (
    id uuid PRIMARY KEY,
    organization_id uuid REFERENCES organizations,
    token_id uuid REFERENCES tokens,
    action text NOT NULL,
    object text NOT NULL,
    before jsonb,
    after jsonb,
    request_id text NOT NULL,
    address text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_log_of_organization ON audit_log (organization_id, id);

CREATE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_append_only();
CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_append_only();

-- Least privilege: each role gets what its process does, table by table.
GRANT USAGE ON SCHEMA public TO skep_api, skep_worker;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO skep_api, skep_worker;

GRANT INSERT ON organizations, environments, networks, apps, releases, deployments,
    deployment_events, outbox, idempotency_keys, audit_log, tokens TO skep_api;
GRANT UPDATE (spec, spec_version, replicas, last_release, removal_requested_at, updated_at)
    ON apps TO skep_api;
GRANT UPDATE (status, reason_code, reason, finished_at, superseded_by, updated_at)
    ON deployments TO skep_api;
GRANT UPDATE (cursor, updated_at) ON subnet_pools TO skep_api;
GRANT UPDATE (revoked_at, updated_at) ON tokens TO skep_api;
GRANT DELETE ON outbox, idempotency_keys TO skep_api;
GRANT UPDATE ON outbox, idempotency_keys TO skep_api;

GRANT INSERT ON deployment_events, deployment_evidence, app_status, outbox, audit_log TO skep_worker;
GRANT UPDATE ON deployments, deployment_evidence, app_status, outbox TO skep_worker;
GRANT UPDATE (resolved_image, stable_at, updated_at) ON releases TO skep_worker;
GRANT UPDATE (replicas, live_release_id, live_restart_counter, live_replicas, removal_requested_at,
    removed_at, updated_at) ON apps TO skep_worker;
GRANT DELETE ON outbox, app_status, idempotency_keys, networks TO skep_worker;
GRANT USAGE ON SEQUENCE deployment_fences TO skep_worker;
