-- What a repeated request is answered with, its first answer, whole, beside its key; and how long a
-- deployment may take where an app does not say.

-- `status` NULL: written by an older version, which answers again with the deployment and nothing else.
-- `deployment_id` stays for that version while both run; a request that makes no deployment has none.
ALTER TABLE idempotency_keys
    ALTER COLUMN deployment_id DROP NOT NULL,
    ADD COLUMN status smallint CHECK (status BETWEEN 200 AND 299),
    ADD COLUMN headers jsonb,
    ADD COLUMN body text,
    ADD CHECK ((status IS NULL) = (body IS NULL) AND (status IS NULL) = (headers IS NULL));

ALTER TABLE platform
    ADD COLUMN deadline_schedule_seconds integer NOT NULL DEFAULT 120
        CHECK (deadline_schedule_seconds BETWEEN 10 AND 1800),
    ADD COLUMN deadline_pull_seconds integer NOT NULL DEFAULT 300
        CHECK (deadline_pull_seconds BETWEEN 30 AND 3600),
    ADD COLUMN deadline_healthy_seconds integer NOT NULL DEFAULT 60
        CHECK (deadline_healthy_seconds BETWEEN 5 AND 1800),
    ADD COLUMN deadline_progress_seconds integer NOT NULL DEFAULT 600
        CHECK (deadline_progress_seconds BETWEEN 60 AND 7200);
