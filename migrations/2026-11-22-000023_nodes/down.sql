ALTER TABLE app_status DROP COLUMN virtual_address;

ALTER TABLE reserved_ranges DROP CONSTRAINT reserved_ranges_seen;
DELETE FROM reserved_ranges WHERE source = 'node';
ALTER TABLE reserved_ranges DROP CONSTRAINT reserved_ranges_source_check;
ALTER TABLE reserved_ranges ADD CONSTRAINT reserved_ranges_source_check CHECK (source IN ('operator', 'docker'));
ALTER TABLE reserved_ranges ADD CONSTRAINT reserved_ranges_check CHECK ((source = 'docker') = (seen_at IS NOT NULL));

DELETE FROM drift WHERE kind IN ('duplicate', 'leaked') OR object_type IN ('container', 'endpoint');
ALTER TABLE drift DROP CONSTRAINT drift_object_type_check;
ALTER TABLE drift ADD CONSTRAINT drift_object_type_check CHECK (object_type IN ('service', 'network'));
ALTER TABLE drift DROP CONSTRAINT drift_kind_check;
ALTER TABLE drift ADD CONSTRAINT drift_kind_check CHECK (kind IN
    ('missing', 'changed', 'taken_back', 'short', 'orphan', 'unknown', 'overlap'));
