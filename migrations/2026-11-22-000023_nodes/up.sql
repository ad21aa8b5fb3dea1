-- What only a node's own daemon knows: what it goes on running though the swarm has given it up, what it has forgotten to take away,
-- where it routes to, and which address each task has there.

ALTER TABLE drift DROP CONSTRAINT drift_kind_check;
ALTER TABLE drift ADD CONSTRAINT drift_kind_check CHECK (kind IN
    ('missing', 'changed', 'taken_back', 'short', 'orphan', 'unknown', 'overlap', 'duplicate', 'leaked'));
ALTER TABLE drift DROP CONSTRAINT drift_object_type_check;
ALTER TABLE drift ADD CONSTRAINT drift_object_type_check CHECK (object_type IN
    ('service', 'network', 'container', 'endpoint'));

ALTER TABLE reserved_ranges DROP CONSTRAINT reserved_ranges_source_check;
ALTER TABLE reserved_ranges ADD CONSTRAINT reserved_ranges_source_check CHECK (source IN ('operator', 'docker', 'node'));
ALTER TABLE reserved_ranges DROP CONSTRAINT reserved_ranges_check;
ALTER TABLE reserved_ranges ADD CONSTRAINT reserved_ranges_seen CHECK ((source <> 'operator') = (seen_at IS NOT NULL));

-- Where an app is found on its network, as a worker saw it; that of each task is in `tasks`.
ALTER TABLE app_status ADD COLUMN virtual_address inet CHECK (family(virtual_address) = 4 AND masklen(virtual_address) = 32);
