-- The data set of `bench api`, as a platform has it that has run for some weeks. Settings of the session say how much:
-- bench.organizations; bench.spec and bench.tasks are what API and worker would have written.

-- Foreign keys and the history of health are right by construction, and are not checked row by row.
SET session_replication_role = replica;

CREATE TEMP TABLE made ON COMMIT DROP AS SELECT current_setting('bench.organizations')::bigint AS organizations;

-- Ordered by time, as ids are. The bench's Rust makes the same ones: see dataset.rs.
CREATE FUNCTION pg_temp.id(kind integer, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('0199' || lpad(kind::text, 4, '0') || '-0000-7000-8000-' || lpad(number::text, 12, '0'))::uuid
$$;
CREATE FUNCTION pg_temp.secret_hash(mark text, number bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT sha256(convert_to(body || left(encode(sha256(convert_to(body, 'UTF8')), 'hex'), 8), 'UTF8'))
    FROM (SELECT 'skep_' || mark || '_' || encode(sha256(convert_to(mark || number, 'UTF8')), 'hex') AS body) AS made
$$;

INSERT INTO organizations (id, slug, name)
SELECT pg_temp.id(1, g), 'org-' || g, 'Organization ' || g
FROM made, generate_series(1, organizations) AS g;

INSERT INTO environments (id, organization_id, slug)
SELECT pg_temp.id(2, g), pg_temp.id(1, g), 'production' FROM made, generate_series(1, organizations) AS g;

INSERT INTO networks (id, organization_id, environment_id, name, subnet)
SELECT pg_temp.id(9, g), pg_temp.id(1, g), pg_temp.id(2, g), 'org-org-' || g || '-network',
    set_masklen('10.112.0.0'::inet + g * 1024, 22)::cidr
FROM made, generate_series(1, organizations) AS g;

INSERT INTO users (id, email, name)
SELECT pg_temp.id(6, g), 'owner-' || g || '@example.com', 'Owner ' || g
FROM made, generate_series(1, organizations) AS g;

INSERT INTO members (id, organization_id, user_id, role)
SELECT pg_temp.id(10, g), pg_temp.id(1, g), pg_temp.id(6, g), 'owner'
FROM made, generate_series(1, organizations) AS g;

INSERT INTO tokens (id, organization_id, name, secret_hash, kind)
SELECT pg_temp.id(4, g), pg_temp.id(1, g), 'pipeline', pg_temp.secret_hash('org', g), 'organization'
FROM made, generate_series(1, organizations) AS g;

INSERT INTO tokens (id, user_id, name, secret_hash, kind, expires_at)
SELECT pg_temp.id(5, g), pg_temp.id(6, g), 'session', pg_temp.secret_hash('ses', g), 'session', now() + interval '1 day'
FROM made, generate_series(1, organizations) AS g;

-- Every tenth organization has 55 apps, the others five; made in turns, so that an organization's rows lie apart.
CREATE TEMP TABLE made_apps ON COMMIT DROP AS
SELECT row_number() OVER (ORDER BY a, g) AS n, g, a, count(*) OVER () AS apps,
    now() - interval '30 days' + a * interval '5 hours' AS at,
    'registry.example.com/org-' || g || '/app-' || a AS repository
FROM made, generate_series(1, organizations) AS g,
    LATERAL generate_series(1, CASE WHEN g % 10 = 0 THEN 55 ELSE 5 END) AS a;

-- What the ten deployments of an app were; three of them made no release.
CREATE TEMP TABLE made_deployments ON COMMIT DROP AS
SELECT * FROM unnest(
    ARRAY['deploy','deploy','deploy','scale','deploy','deploy','deploy','scale','restart','deploy'],
    ARRAY[1, 2, 3, 3, 4, 5, 6, 6, 6, 7],
    ARRAY[2, 2, 2, 3, 3, 3, 3, 2, 2, 2]
) WITH ORDINALITY AS d (kind, release, replicas, k);

INSERT INTO releases (id, organization_id, app_id, number, spec, spec_version, resolved_image, stable_at, created_at, updated_at)
SELECT pg_temp.id(8, (d.release - 1) * apps + n), pg_temp.id(1, g), pg_temp.id(3, n), d.release,
    jsonb_set(current_setting('bench.spec')::jsonb, '{image}', to_jsonb(repository || ':v' || d.release)), 1,
    repository || '@sha256:' || encode(sha256(convert_to(n || '-' || d.release, 'UTF8')), 'hex'),
    CASE WHEN k <> 6 THEN at + k * interval '1 day' END, at + k * interval '1 day', at + k * interval '1 day'
FROM made_apps, made_deployments AS d WHERE d.kind = 'deploy' ORDER BY k, n;

INSERT INTO apps (id, organization_id, environment_id, slug, service_name, spec, spec_version, replicas, last_release,
    live_release_id, live_restart_counter, live_replicas, live_version, live_addresses, reserved_addresses, created_at,
    updated_at)
SELECT pg_temp.id(3, n), pg_temp.id(1, g), pg_temp.id(2, g), 'app-' || a, 'app-' || a || '-' || n,
    jsonb_set(current_setting('bench.spec')::jsonb, '{image}', to_jsonb(repository || ':v7')), 1, 2, 7,
    pg_temp.id(8, 6 * apps + n), 1, 2, 1000 + n, 4, 4, at, at + interval '10 days'
FROM made_apps ORDER BY n;

-- Two replicas, one beside them in an update, a virtual address.
UPDATE networks SET reserved_addresses = kept.addresses
FROM (SELECT environment_id, sum(reserved_addresses) AS addresses FROM apps GROUP BY 1) AS kept
WHERE kept.environment_id = networks.environment_id;

-- What triggers would have counted; and a plan that limits everything, far above what anybody uses.
UPDATE apps SET live_tasks = n.tasks, live_cpu_millis = n.cpu_millis, live_memory_mb = n.memory_mb, live_disk_gb = n.disk_gb,
    reserved_tasks = n.tasks, reserved_cpu_millis = n.cpu_millis, reserved_memory_mb = n.memory_mb, reserved_disk_gb = n.disk_gb
FROM apps a CROSS JOIN LATERAL resources_needed(a.live_release_id, 2) AS n WHERE a.id = apps.id;
INSERT INTO organization_quotas (organization_id, used_cpu_millis, used_memory_mb, used_disk_gb, used_replicas, used_apps,
    used_environments, used_members, used_tokens)
SELECT organization_id, sum(reserved_cpu_millis), sum(reserved_memory_mb), sum(reserved_disk_gb), sum(reserved_tasks), count(*), 1, 1, 1
FROM apps GROUP BY organization_id;
UPDATE plans SET quotas = '{"cpu_millis": 1000000000, "memory_mb": 1000000000, "disk_gb": 1000000000, "replicas": 1000000000,
    "apps": 1000000, "environments": 1000000, "secrets": 1000000, "members": 1000000, "tokens": 1000000,
    "deployments_per_day": 1000000000}';

INSERT INTO deployments (id, organization_id, app_id, release_id, kind, status, reason_code, reason, replicas,
    restart_counter, spec_version, requested_by, fence, started_at, applied_at, progressed_at, healthy_since,
    finished_at, created_at, updated_at)
SELECT pg_temp.id(7, (k - 1) * apps + n), pg_temp.id(1, g), pg_temp.id(3, n), pg_temp.id(8, (d.release - 1) * apps + n), d.kind,
    CASE WHEN k = 6 THEN 'rolled_back' ELSE 'succeeded' END,
    CASE WHEN k = 6 THEN 'unhealthy' ELSE 'live' END,
    CASE WHEN k = 6 THEN 'a replica of release 5 was unhealthy: GET /health answered 503; release 4 is live again'
        ELSE 'every replica of the release ran healthy through the window' END,
    d.replicas, CASE WHEN k >= 9 THEN 1 ELSE 0 END, 2, pg_temp.id(4, g), (k - 1) * apps + n,
    at + k * interval '1 day', at + k * interval '1 day', at + k * interval '1 day', at + k * interval '1 day',
    at + k * interval '1 day', at + k * interval '1 day', at + k * interval '1 day'
FROM made_apps, made_deployments AS d ORDER BY k, n;

INSERT INTO deployment_events (organization_id, deployment_id, status, message, created_at)
SELECT pg_temp.id(1, g), pg_temp.id(7, (k - 1) * apps + n), status, message, at + k * interval '1 day' + step * interval '3 seconds'
FROM made_apps, made_deployments, (VALUES
    (1, 'queued', 'accepted'),
    (2, 'provisioning', 'a worker has taken it up'),
    (3, 'updating', 'Swarm has the spec; the old replicas are replaced one by one'),
    (4, 'verifying', 'every replica runs and is healthy; they are watched through the window of 15 s'),
    (5, 'succeeded', 'every replica of the release ran healthy through the window')
) AS steps (step, status, message) ORDER BY k, n, step;

INSERT INTO app_status (app_id, organization_id, health, release_id, desired, running, tasks, since, observed_at)
SELECT pg_temp.id(3, n), pg_temp.id(1, g), 'healthy', pg_temp.id(8, 6 * apps + n), 2, 2, current_setting('bench.tasks')::jsonb,
    at + interval '10 days', now()
FROM made_apps ORDER BY n;

INSERT INTO app_health (id, organization_id, app_id, health, release_id, since)
SELECT health_id, organization_id, app_id, health, release_id, since FROM app_status;

INSERT INTO audit_log (id, organization_id, token_id, action, object, before, after, request_id, address, created_at)
SELECT pg_temp.id(11, (k - 1) * apps + n), pg_temp.id(1, g), pg_temp.id(4, g), 'app.' || kind, 'app_' || n,
    jsonb_build_object('replicas', 2), jsonb_build_object('deployment', 'dep_' || k || '_' || n, 'release', release, 'replicas', replicas),
    'req_' || k || '_' || n, '127.0.0.1', at + k * interval '1 day'
FROM made_apps, made_deployments ORDER BY k, n;

INSERT INTO idempotency_keys (token_id, route, key, request_hash, deployment_id, status, headers, body)
SELECT pg_temp.id(4, g), 'POST /v1/organizations/org-' || g || '/environments/production/apps/app-' || a || '/deployments',
    'made-' || n, sha256('{}'), pg_temp.id(7, 9 * apps + n), 202, '{"location": "/v1"}', repeat('{"id": "dep"}', 60)
FROM made_apps;

SET session_replication_role = origin;
