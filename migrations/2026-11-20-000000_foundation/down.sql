DROP TABLE audit_log, idempotency_keys, outbox, app_status, deployment_evidence, deployment_events,
    deployments, networks, subnet_pools, tokens, platform CASCADE;
ALTER TABLE apps DROP COLUMN live_release_id;
DROP TABLE releases, apps, environments, organizations;
DROP SEQUENCE deployment_fences;
DROP FUNCTION releases_immutable, deployments_end_once, deployments_notify, audit_log_append_only;
