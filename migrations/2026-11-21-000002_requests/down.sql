-- The older version cannot answer again for what made no deployment.
DELETE FROM idempotency_keys WHERE deployment_id IS NULL;
ALTER TABLE idempotency_keys
    DROP COLUMN status,
    DROP COLUMN headers,
    DROP COLUMN body,
    ALTER COLUMN deployment_id SET NOT NULL;
ALTER TABLE platform
    DROP COLUMN deadline_schedule_seconds,
    DROP COLUMN deadline_pull_seconds,
    DROP COLUMN deadline_healthy_seconds,
    DROP COLUMN deadline_progress_seconds;
