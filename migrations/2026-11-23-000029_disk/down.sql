-- What the platform stopped by itself stays as it is.
ALTER TABLE deployments DROP CONSTRAINT deployments_requested_by_somebody;
ALTER TABLE deployments ADD CONSTRAINT deployments_requested_by_somebody
    CHECK (kind IN ('repair', 'remove') OR requested_by IS NOT NULL) NOT VALID;
DROP TABLE disk_rounds;
DROP TABLE app_disk;
ALTER TABLE platform DROP COLUMN on_disk_full;
