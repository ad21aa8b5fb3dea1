-- By what a service is told from what it was at `live_version`: a hash of each part of its spec, and when Swarm began the last
-- update of its tasks (model/src/fingerprint.rs). An older version of Skep writes the version alone: a fingerprint of another
-- version counts as none.
ALTER TABLE apps ADD COLUMN live_fingerprint jsonb;

GRANT UPDATE (live_fingerprint) ON apps TO skep_worker;
