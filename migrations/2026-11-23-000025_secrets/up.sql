-- Secrets and configs: values that tenants hand over and that reach their apps as files. Sealed: what opens them is not in Postgres.

CREATE TABLE secrets (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    environment_id uuid NOT NULL REFERENCES environments,
    kind text NOT NULL CHECK (kind IN ('secret', 'config')),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 63),
    -- Number of the newest version.
    last_version integer NOT NULL DEFAULT 1 CHECK (last_version > 0),
    -- How many days its newest version may be old; NULL: its owner wants to hear nothing of its age.
    rotation_days integer CHECK (rotation_days BETWEEN 1 AND 3650),
    -- The newest version of which its owner was told that it is too old.
    told_version integer NOT NULL DEFAULT 0,
    removed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX secrets_name ON secrets (environment_id, kind, name) WHERE removed_at IS NULL;
CREATE INDEX secrets_of_organization ON secrets (organization_id);
CREATE INDEX secrets_rotated ON secrets (id) WHERE rotation_days IS NOT NULL AND removed_at IS NULL;

CREATE TABLE secret_versions (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    secret_id uuid NOT NULL REFERENCES secrets,
    number integer NOT NULL CHECK (number > 0),
    -- Bytes of the value.
    bytes integer NOT NULL CHECK (bytes > 0),
    -- What it is sealed to, and the value. NULL: no release needed it any more, and it was thrown away.
    key_id text REFERENCES sealing_keys,
    sealed bytea,
    -- Its name in Swarm, written down by the worker that brings it there first.
    swarm_name text UNIQUE,
    collected_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (secret_id, number),
    CHECK ((sealed IS NULL) = (collected_at IS NOT NULL)),
    CHECK ((sealed IS NULL) = (key_id IS NULL))
);
-- Of each key: what is sealed to it.
CREATE INDEX secret_versions_key ON secret_versions (key_id) WHERE key_id IS NOT NULL;
CREATE INDEX secret_versions_of_organization ON secret_versions (organization_id);

-- Which versions a release mounts.
CREATE TABLE release_secrets (
    release_id uuid NOT NULL REFERENCES releases,
    secret_version_id uuid NOT NULL REFERENCES secret_versions,
    organization_id uuid NOT NULL REFERENCES organizations,
    PRIMARY KEY (release_id, secret_version_id)
);
CREATE INDEX release_secrets_version ON release_secrets (secret_version_id);
CREATE INDEX release_secrets_of_organization ON release_secrets (organization_id);

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['secrets', 'secret_versions', 'release_secrets'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY api ON %I TO skep_api USING (
                organization_id = coalesce((SELECT skep_wall()), organization_id))', tenant_table);
        EXECUTE format('CREATE POLICY worker ON %I TO skep_worker USING (true)', tenant_table);
    END LOOP;
END $$;

-- Whether a version is still needed: by a release that is live, that may be made live again (`kept` newest ones of its app), or that
-- a deployment is about. What an app's next release will mount is another question.
CREATE FUNCTION secret_version_needed(version uuid, kept integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM release_secrets s JOIN releases r ON r.id = s.release_id JOIN apps a ON a.id = r.app_id
        WHERE s.secret_version_id = version AND a.removed_at IS NULL
            AND (r.number > a.last_release - kept OR r.id = a.live_release_id
                OR EXISTS (SELECT FROM deployments d
                    WHERE d.app_id = r.app_id AND d.release_id = r.id AND d.finished_at IS NULL)))
$$;

-- The API writes sealed values and reads none.
GRANT SELECT, INSERT ON secrets TO skep_api;
GRANT UPDATE (last_version, rotation_days, told_version, removed_at, updated_at) ON secrets TO skep_api;
GRANT INSERT ON secret_versions TO skep_api;
GRANT SELECT (id, organization_id, secret_id, number, bytes, key_id, swarm_name, collected_at, created_at, updated_at)
    ON secret_versions TO skep_api;
GRANT SELECT, INSERT ON release_secrets TO skep_api;

GRANT SELECT ON secrets, secret_versions, release_secrets TO skep_worker;
GRANT UPDATE (told_version, updated_at) ON secrets TO skep_worker;
GRANT UPDATE (key_id, sealed, swarm_name, collected_at, updated_at) ON secret_versions TO skep_worker;
-- A rotation is carried out by a worker: it brings the new key, and takes the old one away when nothing is sealed to it.
GRANT INSERT, UPDATE, DELETE ON sealing_keys TO skep_worker;

-- Takes away all that was an organization's, once its time is over and none of its apps is left. As the owner of
-- the tables: a worker may delete nothing of this otherwise. False: there is nothing to do.
CREATE OR REPLACE FUNCTION organization_erase(erased uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM organizations
        WHERE id = erased AND delete_after <= now() AND deleted_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM apps WHERE organization_id = erased AND removed_at IS NULL)
        OR EXISTS (SELECT FROM deployments WHERE organization_id = erased AND finished_at IS NULL) THEN
        RETURN false;
    END IF;
    DELETE FROM crash_loops WHERE organization_id = erased;
    DELETE FROM drift WHERE organization_id = erased;
    DELETE FROM app_status WHERE organization_id = erased;
    DELETE FROM app_health WHERE organization_id = erased;
    DELETE FROM deployment_evidence WHERE organization_id = erased;
    DELETE FROM deployment_events WHERE organization_id = erased;
    DELETE FROM outbox WHERE deployment_id IN (SELECT id FROM deployments WHERE organization_id = erased);
    -- Answers are kept under keys, and hold what was asked for.
    DELETE FROM idempotency_keys
        WHERE token_id IN (SELECT id FROM tokens WHERE organization_id = erased)
        OR deployment_id IN (SELECT id FROM deployments WHERE organization_id = erased);
    DELETE FROM deployments WHERE organization_id = erased;
    INSERT INTO erased_images (image)
        SELECT DISTINCT resolved_image FROM releases WHERE organization_id = erased AND resolved_image IS NOT NULL
        ON CONFLICT DO NOTHING;
    DELETE FROM release_secrets WHERE organization_id = erased;
    DELETE FROM secret_versions WHERE organization_id = erased;
    DELETE FROM secrets WHERE organization_id = erased;
    DELETE FROM releases WHERE organization_id = erased;
    DELETE FROM apps WHERE organization_id = erased;
    DELETE FROM networks WHERE organization_id = erased;
    DELETE FROM environments WHERE organization_id = erased;
    DELETE FROM invitations WHERE organization_id = erased;
    DELETE FROM members WHERE organization_id = erased;
    -- The log names them: they stay, without a name and without a secret that anybody has.
    UPDATE tokens SET revoked_at = coalesce(revoked_at, now()), name = 'erased',
            secret_hash = sha256(gen_random_uuid()::text::bytea), updated_at = now()
        WHERE organization_id = erased;
    UPDATE organizations SET deleted_at = now(), slug = 'deleted-' || replace(id::text, '-', ''), name = 'erased',
            suspended_at = NULL, suspended_reason = NULL, policy_exceptions = '{}', updated_at = now()
        WHERE id = erased;
    RETURN true;
END $$;
