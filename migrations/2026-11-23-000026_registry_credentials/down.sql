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

DROP FUNCTION registry_candidate_take(uuid, uuid, text, text);
DROP TABLE registry_candidates;
DROP TABLE registry_credentials;
