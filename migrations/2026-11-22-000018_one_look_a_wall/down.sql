DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['members', 'environments', 'networks', 'apps', 'releases',
        'deployments', 'deployment_events', 'deployment_evidence', 'app_status', 'app_health',
        'crash_loops', 'audit_chain', 'invitations'] LOOP
        EXECUTE format('ALTER POLICY api ON %I USING (
                organization_id = (SELECT skep_organization())
                OR (SELECT skep_organization()) = ''00000000-0000-0000-0000-000000000000'')', tenant_table);
    END LOOP;
END $$;
ALTER POLICY api ON organizations USING (
    id = (SELECT skep_organization())
    OR (SELECT skep_organization()) = '00000000-0000-0000-0000-000000000000');
DROP FUNCTION skep_wall;
