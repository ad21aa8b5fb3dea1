DELETE FROM drift WHERE kind = 'overlap';
ALTER TABLE drift DROP CONSTRAINT drift_kind_check;
ALTER TABLE drift ADD CONSTRAINT drift_kind_check CHECK (kind IN
    ('missing', 'changed', 'taken_back', 'short', 'orphan', 'unknown'));
DROP FUNCTION network_capacity;
DROP TRIGGER addresses_of_deployment ON deployments;
DROP FUNCTION addresses_of_deployment;
DROP FUNCTION addresses_needed;
DROP TRIGGER addresses_kept ON apps;
DROP FUNCTION addresses_kept;
DROP TABLE swarm_seen;
ALTER TABLE networks DROP COLUMN reserved_addresses;
ALTER TABLE apps DROP COLUMN live_addresses, DROP COLUMN reserved_addresses;
ALTER TABLE deployments DROP COLUMN addresses;
