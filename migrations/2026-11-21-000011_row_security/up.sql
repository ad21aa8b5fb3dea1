-- The second wall: whatever a query of the API forgets to filter by, it finds the rows of the organization
-- that the connection was told, and no other's. Nothing told: no rows.

-- Whose rows are asked for; the nil id: every organization's.
CREATE FUNCTION skep_organization() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT nullif(current_setting('skep.organization', true), '')::uuid $$;
CREATE FUNCTION skep_person() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT nullif(current_setting('skep.person', true), '')::uuid $$;

-- In scalar subqueries, so that each is evaluated once a query and not once a row.
DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['members', 'environments', 'networks', 'apps', 'releases',
        'deployments', 'deployment_events', 'deployment_evidence', 'app_status', 'app_health',
        'crash_loops', 'drift', 'audit_log'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY api ON %I TO skep_api USING (
                organization_id = (SELECT skep_organization())
                OR (SELECT skep_organization()) = ''00000000-0000-0000-0000-000000000000'')', tenant_table);
        EXECUTE format('CREATE POLICY worker ON %I TO skep_worker USING (true)', tenant_table);
    END LOOP;
END $$;

ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON organizations TO skep_api USING (
    id = (SELECT skep_organization())
    OR (SELECT skep_organization()) = '00000000-0000-0000-0000-000000000000');
CREATE POLICY worker ON organizations TO skep_worker USING (true);

ALTER TABLE tokens ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON tokens TO skep_api USING (
    organization_id = (SELECT skep_organization())
    OR user_id = (SELECT skep_person())
    OR (SELECT skep_organization()) = '00000000-0000-0000-0000-000000000000');
CREATE POLICY worker ON tokens TO skep_worker USING (true);

-- What a person does is nobody's but the person's, and is written down all the same.
CREATE POLICY person ON audit_log FOR INSERT TO skep_api
    WITH CHECK (organization_id IS NULL AND (SELECT skep_person()) IS NOT NULL);

-- Stamps a token's last use, at most once a minute. Whoever authenticates has no organization yet.
CREATE FUNCTION token_used(used uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE tokens SET last_used_at = now()
    WHERE id = used AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
$$;
REVOKE EXECUTE ON FUNCTION token_used FROM PUBLIC;
GRANT EXECUTE ON FUNCTION token_used TO skep_api;
