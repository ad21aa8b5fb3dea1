-- Organizations end: after a time of grace their apps are removed, then all that was theirs but the audit log.
ALTER TABLE organizations
    -- When the clean-up begins. Until then the deletion can be taken back.
    ADD COLUMN delete_after timestamptz,
    -- Nothing of it is left. The row stays: the audit log refers to it.
    ADD COLUMN deleted_at timestamptz,
    ADD CHECK (deleted_at IS NULL OR delete_after IS NOT NULL);
CREATE INDEX organizations_to_delete ON organizations (delete_after)
    WHERE delete_after IS NOT NULL AND deleted_at IS NULL;
GRANT UPDATE (delete_after) ON organizations TO skep_api;

-- The apps of one that ends are removed by the platform itself.
ALTER TABLE deployments DROP CONSTRAINT deployments_requested_by_somebody;
ALTER TABLE deployments ADD CONSTRAINT deployments_requested_by_somebody
    CHECK (kind IN ('repair', 'remove') OR requested_by IS NOT NULL);

DROP TRIGGER credentials_notify ON organizations;
CREATE TRIGGER credentials_notify
    AFTER UPDATE OF suspended_at, policy_exceptions, delete_after, deleted_at ON organizations
    FOR EACH STATEMENT EXECUTE FUNCTION credentials_notify();

-- One that is to end is read and not changed; one that has ended is not there.
CREATE OR REPLACE FUNCTION token_holder(hash bytea, wanted_id uuid, wanted_slug text)
RETURNS TABLE (
    token uuid, kind text, user_id uuid, platform_role text, scopes text[], networks cidr[],
    environment_ids uuid[], environment_slugs text[], is_used_lately boolean,
    organization uuid, role text, suspended boolean, policy_exceptions text[]
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp
ROWS 1 AS $$
BEGIN
    RETURN QUERY SELECT t.id, t.kind, t.user_id, coalesce(t.platform_role, u.platform_role), t.scopes, t.networks,
        t.environments,
        (SELECT array_agg(e.slug) FROM environments e WHERE e.id = ANY (t.environments)),
        t.last_used_at > now() - interval '1 minute',
        o.id,
        CASE WHEN t.organization_id = o.id THEN 'admin' ELSE m.role END,
        o.suspended_at IS NOT NULL OR o.delete_after IS NOT NULL,
        coalesce(o.policy_exceptions, '{}')
    FROM tokens t
    LEFT JOIN users u ON u.id = t.user_id
    LEFT JOIN organizations o ON (o.id = wanted_id OR o.slug = wanted_slug) AND o.deleted_at IS NULL
    LEFT JOIN members m ON m.user_id = t.user_id AND m.organization_id = o.id
    WHERE t.secret_hash = hash
        AND t.revoked_at IS NULL
        AND (t.expires_at IS NULL OR t.expires_at > now())
        AND u.disabled_at IS NULL;
END $$;

-- What the releases of organizations that have ended ran: nodes may still have these images.
CREATE TABLE erased_images (
    image text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON erased_images TO skep_worker;

-- Takes away all that was an organization's, once its time is over and none of its apps is left. As the owner of
-- the tables: a worker may delete nothing of this otherwise. False: there is nothing to do.
CREATE FUNCTION organization_erase(erased uuid) RETURNS boolean
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
REVOKE EXECUTE ON FUNCTION organization_erase FROM PUBLIC;
GRANT EXECUTE ON FUNCTION organization_erase TO skep_worker;
