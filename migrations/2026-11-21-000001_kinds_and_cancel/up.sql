-- Restart, stop, start and cancel.

ALTER TABLE deployments DROP CONSTRAINT deployments_kind_check;
ALTER TABLE deployments ADD CONSTRAINT deployments_kind_check CHECK (kind IN
    ('deploy', 'rollback', 'restart', 'scale', 'stop', 'start', 'remove'));
-- Its owner asked it to end: the worker that drives it goes back and says so.
ALTER TABLE deployments ADD COLUMN cancel_requested_at timestamptz;
-- Set while the app is kept at no replicas; `replicas` is what it starts with again.
ALTER TABLE apps ADD COLUMN stopped_at timestamptz;

GRANT UPDATE (cancel_requested_at) ON deployments TO skep_api;
GRANT UPDATE (stopped_at) ON apps TO skep_api, skep_worker;
