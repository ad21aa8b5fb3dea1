DROP FUNCTION token_holder(bytea, uuid, text);
CREATE FUNCTION token_holder(hash bytea, wanted_id uuid, wanted_slug text)
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
REVOKE EXECUTE ON FUNCTION token_holder FROM PUBLIC;
GRANT EXECUTE ON FUNCTION token_holder TO skep_api;
DROP TRIGGER credentials_notify ON plans;
DROP TRIGGER credentials_notify ON organization_quotas;
DROP TABLE rate_windows;
ALTER TABLE organization_quotas DROP COLUMN rate_overrides;
UPDATE organization_quotas SET plan = 'default' WHERE plan = 'operators';
DELETE FROM plans WHERE name = 'operators';
ALTER TABLE plans DROP COLUMN rates;
