DROP FUNCTION token_used;
DROP POLICY person ON audit_log;
DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['tokens', 'organizations', 'members', 'environments', 'networks', 'apps',
        'releases', 'deployments', 'deployment_events', 'deployment_evidence', 'app_status', 'app_health',
        'crash_loops', 'drift', 'audit_log'] LOOP
        EXECUTE format('DROP POLICY worker ON %I', tenant_table);
        EXECUTE format('DROP POLICY api ON %I', tenant_table);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', tenant_table);
    END LOOP;
END $$;
DROP FUNCTION skep_person;
DROP FUNCTION skep_organization;
