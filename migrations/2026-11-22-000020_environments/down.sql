DROP VIEW taken_ranges;
DROP TABLE reserved_ranges;
DROP TRIGGER subnet_rests ON networks;
DROP FUNCTION subnet_rests;
DROP TABLE resting_subnets;
ALTER TABLE platform DROP COLUMN encryption;
-- Before, an environment had one network, and was never removed: what is on its way out is forgotten, and stays in the swarm.
DELETE FROM networks WHERE retired_at IS NOT NULL;
REVOKE UPDATE (retired_at, updated_at) ON networks FROM skep_api;
DROP INDEX networks_of_environment;
ALTER TABLE networks ADD CONSTRAINT networks_environment_id_key UNIQUE (environment_id);
ALTER TABLE networks DROP COLUMN access, DROP COLUMN encrypted, DROP COLUMN retired_at;
REVOKE UPDATE (slug, removed_at, updated_at) ON environments FROM skep_api;
ALTER TABLE environments DROP COLUMN removed_at;
REVOKE INSERT, DELETE ON subnet_pools FROM skep_api;
