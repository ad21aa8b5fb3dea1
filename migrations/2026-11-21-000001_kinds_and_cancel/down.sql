ALTER TABLE apps DROP COLUMN stopped_at;
ALTER TABLE deployments DROP COLUMN cancel_requested_at;
-- Deployments of the newer kinds stay as history: the old check is not put on them.
ALTER TABLE deployments DROP CONSTRAINT deployments_kind_check;
ALTER TABLE deployments ADD CONSTRAINT deployments_kind_check CHECK (kind IN
    ('deploy', 'rollback', 'scale', 'remove')) NOT VALID;
