-- What a repeated request is answered with: its first answer, whole, beside its key.

-- `status` NULL: written by an older version, which answers again with the deployment and nothing else.
-- `deployment_id` stays for that version while both run; a request that makes no deployment has none.
ALTER TABLE idempotency_keys
    ALTER COLUMN deployment_id DROP NOT NULL,
    ADD COLUMN status smallint CHECK (status BETWEEN 200 AND 299),
    ADD COLUMN headers jsonb,
    ADD COLUMN body text,
    ADD CHECK ((status IS NULL) = (body IS NULL) AND (status IS NULL) = (headers IS NULL));
