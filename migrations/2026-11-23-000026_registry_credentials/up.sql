-- What an organization shows image registries. Sealed as secrets are: what opens it is not in Postgres.

CREATE TABLE registry_credentials (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    -- Host, with a port where it has one; `docker.io` for Docker Hub.
    registry text NOT NULL CHECK (length(registry) BETWEEN 1 AND 255),
    kind text NOT NULL CHECK (kind IN ('basic', 'token', 'short_lived')),
    -- NULL: a token says by itself whose it is.
    username text CHECK (length(username) BETWEEN 1 AND 255),
    -- Raised with each secret that takes the place of the one before.
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    key_id text NOT NULL REFERENCES sealing_keys,
    -- A password or a token; of a short-lived one, what the platform's refresh command is given.
    sealed bytea NOT NULL,
    -- What the refresh command has given: a user name and a password, sealed, too.
    issued_key_id text REFERENCES sealing_keys,
    issued_sealed bytea,
    expires_at timestamptz,
    -- What the registry said of it last.
    checked_at timestamptz,
    check_status text CHECK (check_status IN ('accepted', 'refused', 'unreachable')),
    check_answer text CHECK (length(check_answer) <= 2000),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, registry),
    CHECK ((issued_key_id IS NULL) = (issued_sealed IS NULL)),
    CHECK ((checked_at IS NULL) = (check_status IS NULL))
);
CREATE INDEX registry_credentials_key ON registry_credentials (key_id);
CREATE INDEX registry_credentials_issued_key ON registry_credentials (issued_key_id) WHERE issued_key_id IS NOT NULL;
CREATE INDEX registry_credentials_expiring ON registry_credentials (expires_at) WHERE kind = 'short_lived';

-- One of which it is not known yet whether its registry takes it. Nothing uses it, and it is gone within an hour.
CREATE TABLE registry_candidates (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    registry text NOT NULL CHECK (length(registry) BETWEEN 1 AND 255),
    kind text NOT NULL CHECK (kind IN ('basic', 'token', 'short_lived')),
    username text CHECK (length(username) BETWEEN 1 AND 255),
    key_id text NOT NULL,
    sealed bytea NOT NULL,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX registry_candidates_of_organization ON registry_candidates (organization_id);
CREATE INDEX registry_candidates_age ON registry_candidates (created_at);

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['registry_credentials', 'registry_candidates'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY api ON %I TO skep_api USING (
                organization_id = coalesce((SELECT skep_wall()), organization_id))', tenant_table);
        EXECUTE format('CREATE POLICY worker ON %I TO skep_worker USING (true)', tenant_table);
    END LOOP;
END $$;

-- Puts a candidate of this organization in the place of what it had for the registry. As the owner: an API may not read what is sealed, not
-- even to write it elsewhere. NULL: there is no such candidate.
CREATE FUNCTION registry_candidate_take(candidate uuid, whose uuid, status text, answer text) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH taken AS (
        DELETE FROM registry_candidates
        WHERE id = candidate AND organization_id = whose
            -- A function of the owner's is behind no wall but this.
            AND organization_id = coalesce((SELECT skep_wall()), organization_id)
        RETURNING *
    )
    INSERT INTO registry_credentials AS r (id, organization_id, registry, kind, username, key_id, sealed, expires_at,
        checked_at, check_status, check_answer)
    SELECT id, organization_id, registry, kind, username, key_id, sealed, expires_at, now(), status, answer FROM taken
    ON CONFLICT (organization_id, registry) DO UPDATE SET
        kind = excluded.kind, username = excluded.username, version = r.version + 1,
        key_id = excluded.key_id, sealed = excluded.sealed, issued_key_id = NULL, issued_sealed = NULL,
        expires_at = excluded.expires_at, checked_at = now(), check_status = excluded.check_status,
        check_answer = excluded.check_answer, updated_at = now()
    RETURNING id
$$;
REVOKE EXECUTE ON FUNCTION registry_candidate_take FROM PUBLIC;
GRANT EXECUTE ON FUNCTION registry_candidate_take TO skep_api;

GRANT SELECT (id, organization_id, registry, kind, username, version, expires_at, checked_at, check_status, check_answer,
    created_at, updated_at), DELETE ON registry_credentials TO skep_api;
GRANT SELECT (id, organization_id, registry, created_at), INSERT, DELETE ON registry_candidates TO skep_api;
GRANT SELECT ON registry_credentials, registry_candidates TO skep_worker;
GRANT UPDATE (version, key_id, sealed, issued_key_id, issued_sealed, expires_at, checked_at, check_status, check_answer, updated_at)
    ON registry_credentials TO skep_worker;
GRANT DELETE ON registry_candidates TO skep_worker;

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
    DELETE FROM registry_credentials WHERE organization_id = erased;
    DELETE FROM registry_candidates WHERE organization_id = erased;
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
