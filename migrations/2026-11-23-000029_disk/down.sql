-- What the platform stopped by itself may be under way, and its row has yet to change: the rule stays as wide as it is, which the version
-- before does not use.
DROP TABLE disk_rounds;
DROP TABLE app_disk;
ALTER TABLE platform DROP COLUMN on_disk_full;
