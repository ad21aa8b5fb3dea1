DROP TRIGGER quotas_begin ON organizations;
DROP TRIGGER quotas_end ON organizations;
DROP TRIGGER quotas_reserved ON apps;
DO $$
DECLARE
    counted text;
BEGIN
    FOREACH counted IN ARRAY ARRAY['apps', 'environments', 'secrets'] LOOP
        EXECUTE format('DROP TRIGGER quotas_one_more ON %I', counted);
        EXECUTE format('DROP TRIGGER quotas_one_less ON %I', counted);
        EXECUTE format('DROP TRIGGER quotas_one_gone ON %I', counted);
    END LOOP;
END $$;
DROP TRIGGER quotas_one_more ON members;
DROP TRIGGER quotas_one_gone ON members;
DROP TRIGGER quotas_token_more ON tokens;
DROP TRIGGER quotas_token_less ON tokens;
DROP TRIGGER quotas_deployments ON deployments;
DROP TRIGGER resources_of_deployment ON deployments;
DROP TRIGGER resources_of_live ON apps;
ALTER TABLE tokens ALTER CONSTRAINT tokens_rotated_to_fkey NOT DEFERRABLE;
DROP TABLE organization_quotas;
DROP TABLE plans;
DROP FUNCTION quotas_begin, quotas_end, quotas_reserved, quotas_counted, quotas_tokens, quotas_deployments, quotas_guard,
    resources_of_deployment, resources_of_live, resources_needed;
ALTER TABLE apps DROP COLUMN live_tasks, DROP COLUMN live_cpu_millis, DROP COLUMN live_memory_mb, DROP COLUMN live_disk_gb,
    DROP COLUMN reserved_tasks, DROP COLUMN reserved_cpu_millis, DROP COLUMN reserved_memory_mb, DROP COLUMN reserved_disk_gb;
ALTER TABLE deployments DROP COLUMN tasks, DROP COLUMN cpu_millis, DROP COLUMN memory_mb, DROP COLUMN disk_gb;
