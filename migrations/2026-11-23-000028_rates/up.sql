-- How many requests a minute are taken of a token, by the plan of the organization that it acts in.

-- Most of each class (model/src/rate.rs); a class that is not named has the standard rate.
ALTER TABLE plans ADD COLUMN rates jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(rates) = 'object');
ALTER TABLE organization_quotas
    ADD COLUMN rate_overrides jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(rate_overrides) = 'object');
-- Of who operates the platform, wherever they act.
INSERT INTO plans (name, rates) VALUES ('operators', '{"general": 1000, "operations": 200, "aggregations": 100}')
    ON CONFLICT (name) DO UPDATE SET rates = excluded.rates;

-- What API processes have told each other of the requests that they took: of a few minutes only, and of no worth after a crash.
CREATE UNLOGGED TABLE rate_windows (
    -- The minute (since 1970).
    minute bigint NOT NULL,
    -- A token, or an address as IPv6.
    asker uuid NOT NULL,
    -- The organization that was acted in; nil: none.
    organization uuid NOT NULL,
    class text NOT NULL CHECK (class IN ('general', 'operations', 'aggregations')),
    taken integer NOT NULL CHECK (taken >= 0),
    PRIMARY KEY (minute, asker, organization, class)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON rate_windows TO skep_api;
GRANT UPDATE (rates) ON plans TO skep_api;
GRANT UPDATE (rate_overrides) ON organization_quotas TO skep_api;

CREATE TRIGGER credentials_notify AFTER UPDATE OF rates ON plans
    FOR EACH STATEMENT EXECUTE FUNCTION credentials_notify();
CREATE TRIGGER credentials_notify AFTER UPDATE OF plan, rate_overrides ON organization_quotas
    FOR EACH STATEMENT EXECUTE FUNCTION credentials_notify();

-- Whom a secret belongs to, and at what rates it is served: an organization's own only to who is somebody in it. A process of the version
-- before passes over the new column.
DROP FUNCTION token_holder(bytea, uuid, text);
CREATE FUNCTION token_holder(hash bytea, wanted_id uuid, wanted_slug text)
RETURNS TABLE (
    token uuid, kind text, user_id uuid, platform_role text, scopes text[], networks cidr[],
    environment_ids uuid[], environment_slugs text[], is_used_lately boolean,
    organization uuid, role text, suspended boolean, policy_exceptions text[], rates jsonb
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
        coalesce(o.policy_exceptions, '{}'),
        coalesce((SELECT p.rates FROM plans p WHERE p.name = CASE
            WHEN coalesce(t.platform_role, u.platform_role) IS NOT NULL THEN 'operators' ELSE coalesce(q.plan, 'default') END), '{}')
            || CASE WHEN coalesce(t.platform_role, u.platform_role) IS NULL THEN coalesce(q.rate_overrides, '{}') ELSE '{}' END
    FROM tokens t
    LEFT JOIN users u ON u.id = t.user_id
    LEFT JOIN organizations o ON (o.id = wanted_id OR o.slug = wanted_slug) AND o.deleted_at IS NULL
    LEFT JOIN members m ON m.user_id = t.user_id AND m.organization_id = o.id
    LEFT JOIN organization_quotas q ON q.organization_id = o.id AND (t.organization_id = o.id OR m.role IS NOT NULL)
    WHERE t.secret_hash = hash
        AND t.revoked_at IS NULL
        AND (t.expires_at IS NULL OR t.expires_at > now())
        AND u.disabled_at IS NULL;
END $$;
REVOKE EXECUTE ON FUNCTION token_holder FROM PUBLIC;
GRANT EXECUTE ON FUNCTION token_holder TO skep_api;
