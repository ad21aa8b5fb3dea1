-- A wall asks once whom it lets through. It asked twice (this organization? every one?), for each table of each query: an
-- eighth of what Postgres spent on a read.

-- The organization whose rows are let through; NULL: every one's. Told nothing: an id that none has, for a wall that
-- is not told must not take that for everybody's.
CREATE FUNCTION skep_wall() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(
        coalesce(nullif(current_setting('skep.organization', true), '')::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
        '00000000-0000-0000-0000-000000000000')
$$;

-- Where every row is an organization's: NULL lets none through elsewhere.
DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['members', 'environments', 'networks', 'apps', 'releases',
        'deployments', 'deployment_events', 'deployment_evidence', 'app_status', 'app_health',
        'crash_loops', 'audit_chain', 'invitations'] LOOP
        EXECUTE format('ALTER POLICY api ON %I USING (
                organization_id = coalesce((SELECT skep_wall()), organization_id))', tenant_table);
    END LOOP;
END $$;
ALTER POLICY api ON organizations USING (id = coalesce((SELECT skep_wall()), id));
