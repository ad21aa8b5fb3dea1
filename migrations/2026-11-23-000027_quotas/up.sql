-- What organizations may use, and what they use of it. Triggers move the use, in the transaction that uses: nothing that is made can be
-- forgotten, and nobody takes the last of anything twice, for one row per organization is locked before it is compared. It is locked last,
-- after apps and networks.

-- Nothing comes or goes while what is there is counted, until the triggers count.
LOCK TABLE organizations, members, environments, apps, deployments, secrets, tokens IN SHARE ROW EXCLUSIVE MODE;

-- Named sets of quotas.
CREATE TABLE plans (
    name text PRIMARY KEY CHECK (name ~ '^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$'),
    -- Most of each (model/src/quota.rs); of what is not named, as much as anybody likes.
    quotas jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(quotas) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO plans (name) VALUES ('default');

CREATE TABLE organization_quotas (
    organization_id uuid PRIMARY KEY REFERENCES organizations,
    plan text NOT NULL DEFAULT 'default' REFERENCES plans,
    -- In the place of the plan's.
    overrides jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(overrides) = 'object'),
    -- What is reserved for apps.
    used_cpu_millis bigint NOT NULL DEFAULT 0 CHECK (used_cpu_millis >= 0),
    used_memory_mb bigint NOT NULL DEFAULT 0 CHECK (used_memory_mb >= 0),
    used_disk_gb bigint NOT NULL DEFAULT 0 CHECK (used_disk_gb >= 0),
    used_replicas bigint NOT NULL DEFAULT 0 CHECK (used_replicas >= 0),
    -- What is there.
    used_apps bigint NOT NULL DEFAULT 0 CHECK (used_apps >= 0),
    used_environments bigint NOT NULL DEFAULT 0 CHECK (used_environments >= 0),
    used_secrets bigint NOT NULL DEFAULT 0 CHECK (used_secrets >= 0),
    used_members bigint NOT NULL DEFAULT 0 CHECK (used_members >= 0),
    -- As they were counted when the last one was made or revoked: they end by themselves.
    used_tokens bigint NOT NULL DEFAULT 0 CHECK (used_tokens >= 0),
    -- Accepted on this day (UTC).
    used_deployments bigint NOT NULL DEFAULT 0 CHECK (used_deployments >= 0),
    deployments_on date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX organization_quotas_of_plan ON organization_quotas (plan);

-- What a deployment may need at most, in sum: its replicas and those that run beside them in an update, each with its limits. Where an
-- older version of the API says nothing of it, a trigger does, and keeps it for the app: a verdict must never have to grow what is kept.
ALTER TABLE deployments
    ADD COLUMN tasks integer CHECK (tasks >= 0),
    ADD COLUMN cpu_millis integer CHECK (cpu_millis >= 0),
    ADD COLUMN memory_mb integer CHECK (memory_mb >= 0),
    ADD COLUMN disk_gb integer CHECK (disk_gb >= 0);
-- What the last verdict left an app with, and what is kept for it: that, or what a deployment on its way may need.
ALTER TABLE apps
    ADD COLUMN live_tasks integer NOT NULL DEFAULT 0 CHECK (live_tasks >= 0),
    ADD COLUMN live_cpu_millis integer NOT NULL DEFAULT 0 CHECK (live_cpu_millis >= 0),
    ADD COLUMN live_memory_mb integer NOT NULL DEFAULT 0 CHECK (live_memory_mb >= 0),
    ADD COLUMN live_disk_gb integer NOT NULL DEFAULT 0 CHECK (live_disk_gb >= 0),
    ADD COLUMN reserved_tasks integer NOT NULL DEFAULT 0 CHECK (reserved_tasks >= 0),
    ADD COLUMN reserved_cpu_millis integer NOT NULL DEFAULT 0 CHECK (reserved_cpu_millis >= 0),
    ADD COLUMN reserved_memory_mb integer NOT NULL DEFAULT 0 CHECK (reserved_memory_mb >= 0),
    ADD COLUMN reserved_disk_gb integer NOT NULL DEFAULT 0 CHECK (reserved_disk_gb >= 0);

-- As `Need::of` (model/src/capacity.rs) has it.
CREATE FUNCTION resources_needed(release uuid, replicas integer)
RETURNS TABLE (tasks integer, cpu_millis integer, memory_mb integer, disk_gb integer) LANGUAGE sql STABLE AS $$
    SELECT n.tasks, n.tasks * (r.spec ->> 'cpu_millis')::integer, n.tasks * (r.spec ->> 'memory_mb')::integer,
        n.tasks * (r.spec ->> 'disk_gb')::integer
    FROM releases r CROSS JOIN LATERAL (SELECT resources_needed.replicas
        + CASE WHEN r.spec -> 'update_policy' ->> 'order' = 'stop-first' THEN 0
            ELSE least((r.spec -> 'update_policy' ->> 'parallelism')::integer, resources_needed.replicas) END AS tasks) n
    WHERE r.id = release
$$;
CREATE FUNCTION resources_of_deployment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind <> 'remove' THEN
        SELECT n.tasks, n.cpu_millis, n.memory_mb, n.disk_gb
            INTO NEW.tasks, NEW.cpu_millis, NEW.memory_mb, NEW.disk_gb
            FROM resources_needed(NEW.release_id, NEW.replicas) n;
    END IF;
    NEW.tasks := coalesce(NEW.tasks, 0);
    NEW.cpu_millis := coalesce(NEW.cpu_millis, 0);
    NEW.memory_mb := coalesce(NEW.memory_mb, 0);
    NEW.disk_gb := coalesce(NEW.disk_gb, 0);
    UPDATE apps SET reserved_tasks = greatest(reserved_tasks, NEW.tasks),
            reserved_cpu_millis = greatest(reserved_cpu_millis, NEW.cpu_millis),
            reserved_memory_mb = greatest(reserved_memory_mb, NEW.memory_mb),
            reserved_disk_gb = greatest(reserved_disk_gb, NEW.disk_gb)
        WHERE id = NEW.app_id;
    RETURN NEW;
END $$;
CREATE TRIGGER resources_of_deployment BEFORE INSERT ON deployments
    FOR EACH ROW WHEN (NEW.tasks IS NULL) EXECUTE FUNCTION resources_of_deployment();
-- What a verdict leaves an app with, where an older version of the worker gave it and says nothing of it.
CREATE FUNCTION resources_of_live() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(max(n.tasks), 0), coalesce(max(n.cpu_millis), 0), coalesce(max(n.memory_mb), 0), coalesce(max(n.disk_gb), 0)
        INTO NEW.live_tasks, NEW.live_cpu_millis, NEW.live_memory_mb, NEW.live_disk_gb
        FROM resources_needed(NEW.live_release_id, coalesce(NEW.live_replicas, NEW.replicas)) n;
    RETURN NEW;
END $$;
CREATE TRIGGER resources_of_live BEFORE UPDATE OF live_release_id, live_replicas ON apps
    FOR EACH ROW WHEN ((NEW.live_release_id, NEW.live_replicas) IS DISTINCT FROM (OLD.live_release_id, OLD.live_replicas)
        AND (NEW.live_tasks, NEW.live_cpu_millis, NEW.live_memory_mb, NEW.live_disk_gb)
            = (OLD.live_tasks, OLD.live_cpu_millis, OLD.live_memory_mb, OLD.live_disk_gb))
    EXECUTE FUNCTION resources_of_live();

-- What is deployed already, and what is on its way.
UPDATE deployments d SET tasks = n.tasks, cpu_millis = n.cpu_millis, memory_mb = n.memory_mb, disk_gb = n.disk_gb
    FROM deployments o LEFT JOIN LATERAL resources_needed(o.release_id, CASE o.kind WHEN 'remove' THEN 0 ELSE o.replicas END) n ON true
    WHERE o.id = d.id AND d.finished_at IS NULL;
UPDATE apps SET (live_tasks, live_cpu_millis, live_memory_mb, live_disk_gb)
        = (SELECT tasks, cpu_millis, memory_mb, disk_gb FROM resources_needed(live_release_id, coalesce(live_replicas, replicas)))
    WHERE removed_at IS NULL AND live_release_id IS NOT NULL;
UPDATE apps SET (reserved_tasks, reserved_cpu_millis, reserved_memory_mb, reserved_disk_gb)
        = (SELECT greatest(live_tasks, max(tasks)), greatest(live_cpu_millis, max(cpu_millis)),
                greatest(live_memory_mb, max(memory_mb)), greatest(live_disk_gb, max(disk_gb))
            FROM deployments WHERE app_id = apps.id AND finished_at IS NULL)
    WHERE removed_at IS NULL;
INSERT INTO organization_quotas (organization_id, used_cpu_millis, used_memory_mb, used_disk_gb, used_replicas, used_apps,
    used_environments, used_secrets, used_members, used_tokens)
SELECT o.id, coalesce(a.cpu_millis, 0), coalesce(a.memory_mb, 0), coalesce(a.disk_gb, 0), coalesce(a.tasks, 0), coalesce(a.apps, 0),
    (SELECT count(*) FROM environments e WHERE e.organization_id = o.id AND e.removed_at IS NULL),
    (SELECT count(*) FROM secrets s WHERE s.organization_id = o.id AND s.removed_at IS NULL),
    (SELECT count(*) FROM members m WHERE m.organization_id = o.id),
    (SELECT count(*) FROM tokens t
        WHERE t.organization_id = o.id AND t.revoked_at IS NULL AND t.rotated_to IS NULL AND (t.expires_at IS NULL OR t.expires_at > now()))
FROM organizations o LEFT JOIN (
    SELECT organization_id, sum(reserved_cpu_millis) AS cpu_millis, sum(reserved_memory_mb) AS memory_mb,
        sum(reserved_disk_gb) AS disk_gb, sum(reserved_tasks) AS tasks, count(*) AS apps
    FROM apps WHERE removed_at IS NULL GROUP BY organization_id
) a ON a.organization_id = o.id
WHERE o.deleted_at IS NULL;

-- From here on the use moves by itself. As the owner of the tables: nobody else may write it.

CREATE FUNCTION quotas_begin() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO organization_quotas (organization_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER quotas_begin AFTER INSERT ON organizations FOR EACH ROW EXECUTE FUNCTION quotas_begin();

CREATE FUNCTION quotas_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM organization_quotas WHERE organization_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER quotas_end AFTER UPDATE OF deleted_at ON organizations
    FOR EACH ROW WHEN (NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION quotas_end();

CREATE FUNCTION quotas_reserved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE organization_quotas SET
            used_cpu_millis = used_cpu_millis + NEW.reserved_cpu_millis - OLD.reserved_cpu_millis,
            used_memory_mb = used_memory_mb + NEW.reserved_memory_mb - OLD.reserved_memory_mb,
            used_disk_gb = used_disk_gb + NEW.reserved_disk_gb - OLD.reserved_disk_gb,
            used_replicas = used_replicas + NEW.reserved_tasks - OLD.reserved_tasks
        WHERE organization_id = NEW.organization_id;
    RETURN NULL;
END $$;
CREATE TRIGGER quotas_reserved AFTER UPDATE OF reserved_cpu_millis, reserved_memory_mb, reserved_disk_gb, reserved_tasks ON apps
    FOR EACH ROW WHEN ((NEW.reserved_cpu_millis, NEW.reserved_memory_mb, NEW.reserved_disk_gb, NEW.reserved_tasks)
        <> (OLD.reserved_cpu_millis, OLD.reserved_memory_mb, OLD.reserved_disk_gb, OLD.reserved_tasks))
    EXECUTE FUNCTION quotas_reserved();

-- One more (1), or one less (-1), of what its table is called.
CREATE FUNCTION quotas_counted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    one constant bigint := TG_ARGV[0]::bigint;
    whose constant uuid := CASE TG_OP WHEN 'DELETE' THEN OLD.organization_id ELSE NEW.organization_id END;
BEGIN
    UPDATE organization_quotas SET
            used_apps = used_apps + CASE TG_TABLE_NAME WHEN 'apps' THEN one ELSE 0 END,
            used_environments = used_environments + CASE TG_TABLE_NAME WHEN 'environments' THEN one ELSE 0 END,
            used_secrets = used_secrets + CASE TG_TABLE_NAME WHEN 'secrets' THEN one ELSE 0 END,
            used_members = used_members + CASE TG_TABLE_NAME WHEN 'members' THEN one ELSE 0 END
        WHERE organization_id = whose;
    RETURN NULL;
END $$;
DO $$
DECLARE
    counted text;
BEGIN
    FOREACH counted IN ARRAY ARRAY['apps', 'environments', 'secrets'] LOOP
        EXECUTE format('CREATE TRIGGER quotas_one_more AFTER INSERT ON %I
            FOR EACH ROW EXECUTE FUNCTION quotas_counted(''1'')', counted);
        EXECUTE format('CREATE TRIGGER quotas_one_less AFTER UPDATE OF removed_at ON %I
            FOR EACH ROW WHEN (OLD.removed_at IS NULL AND NEW.removed_at IS NOT NULL) EXECUTE FUNCTION quotas_counted(''-1'')', counted);
        EXECUTE format('CREATE TRIGGER quotas_one_gone AFTER DELETE ON %I
            FOR EACH ROW WHEN (OLD.removed_at IS NULL) EXECUTE FUNCTION quotas_counted(''-1'')', counted);
    END LOOP;
END $$;
CREATE TRIGGER quotas_one_more AFTER INSERT ON members FOR EACH ROW EXECUTE FUNCTION quotas_counted('1');
CREATE TRIGGER quotas_one_gone AFTER DELETE ON members FOR EACH ROW EXECUTE FUNCTION quotas_counted('-1');

-- Tokens end by themselves: they are counted anew, once the row is locked. One that was rotated counts no more, though it works on for a
-- while: a token can always be rotated. It is rotated before the other one is made, so that nobody locks a token after this.
ALTER TABLE tokens ALTER CONSTRAINT tokens_rotated_to_fkey DEFERRABLE INITIALLY DEFERRED;
CREATE FUNCTION quotas_tokens() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM organization_quotas WHERE organization_id = NEW.organization_id FOR NO KEY UPDATE;
    UPDATE organization_quotas SET used_tokens = (
            SELECT count(*) FROM tokens t
            WHERE t.organization_id = NEW.organization_id AND t.id <> NEW.id
                AND t.revoked_at IS NULL AND t.rotated_to IS NULL AND (t.expires_at IS NULL OR t.expires_at > now()))
        WHERE organization_id = NEW.organization_id;
    IF TG_OP = 'INSERT' THEN
        UPDATE organization_quotas SET used_tokens = used_tokens + 1 WHERE organization_id = NEW.organization_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER quotas_token_more AFTER INSERT ON tokens
    FOR EACH ROW WHEN (NEW.organization_id IS NOT NULL) EXECUTE FUNCTION quotas_tokens();
CREATE TRIGGER quotas_token_less AFTER UPDATE OF revoked_at ON tokens
    FOR EACH ROW WHEN (NEW.organization_id IS NOT NULL AND OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL)
    EXECUTE FUNCTION quotas_tokens();

CREATE FUNCTION quotas_deployments() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    today constant date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    UPDATE organization_quotas
        -- A transaction that began before midnight may come after one that began behind it.
        SET used_deployments = CASE WHEN deployments_on >= today THEN used_deployments + 1 ELSE 1 END,
            deployments_on = greatest(deployments_on, today)
        WHERE organization_id = NEW.organization_id;
    RETURN NULL;
END $$;
-- What somebody asked for and brings something up: to stop and to remove is never too much, nor what the platform does by itself.
CREATE TRIGGER quotas_deployments AFTER INSERT ON deployments
    FOR EACH ROW WHEN (NEW.requested_by IS NOT NULL AND NEW.kind NOT IN ('stop', 'remove', 'repair'))
    EXECUTE FUNCTION quotas_deployments();

-- Refuses what would grow past its quota, in a form that db/src/failure.rs reads. What is past it already stays: a quota that was lowered
-- blocks growth and ends nothing.
CREATE FUNCTION quotas_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    most constant jsonb := (SELECT quotas FROM plans WHERE name = NEW.plan) || NEW.overrides;
    broken record;
BEGIN
    SELECT quota, (most ->> quota)::bigint AS quota_limit, before, used INTO broken FROM (VALUES
        ('cpu_millis', OLD.used_cpu_millis, NEW.used_cpu_millis),
        ('memory_mb', OLD.used_memory_mb, NEW.used_memory_mb),
        ('disk_gb', OLD.used_disk_gb, NEW.used_disk_gb),
        ('replicas', OLD.used_replicas, NEW.used_replicas),
        ('apps', OLD.used_apps, NEW.used_apps),
        ('environments', OLD.used_environments, NEW.used_environments),
        ('secrets', OLD.used_secrets, NEW.used_secrets),
        ('members', OLD.used_members, NEW.used_members),
        ('tokens', OLD.used_tokens, NEW.used_tokens),
        ('deployments_per_day', CASE OLD.deployments_on WHEN NEW.deployments_on THEN OLD.used_deployments ELSE 0 END,
            NEW.used_deployments)
    ) AS moved (quota, before, used) WHERE used > before AND used > (most ->> quota)::bigint LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'quota exceeded' USING DETAIL = json_build_object('quota', broken.quota, 'limit', broken.quota_limit,
            'used', broken.before, 'asked', broken.used - broken.before);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER quotas_guard BEFORE UPDATE ON organization_quotas FOR EACH ROW EXECUTE FUNCTION quotas_guard();

REVOKE EXECUTE ON FUNCTION quotas_begin, quotas_end, quotas_reserved, quotas_counted, quotas_tokens, quotas_deployments, quotas_guard FROM PUBLIC;

ALTER TABLE organization_quotas ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON organization_quotas TO skep_api USING (organization_id = coalesce((SELECT skep_wall()), organization_id));
GRANT SELECT, INSERT, DELETE, UPDATE (quotas, updated_at) ON plans TO skep_api;
GRANT SELECT, UPDATE (plan, overrides, updated_at) ON organization_quotas TO skep_api;
GRANT UPDATE (reserved_tasks, reserved_cpu_millis, reserved_memory_mb, reserved_disk_gb) ON apps TO skep_api;
GRANT UPDATE (live_tasks, live_cpu_millis, live_memory_mb, live_disk_gb, reserved_tasks, reserved_cpu_millis, reserved_memory_mb,
    reserved_disk_gb) ON apps TO skep_worker;
