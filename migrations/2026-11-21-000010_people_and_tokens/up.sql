-- People, what they are in organizations, and what tokens may do.

CREATE TABLE users (
    id uuid PRIMARY KEY,
    -- Lower case: two spellings are one person.
    email text NOT NULL UNIQUE CHECK (length(email) BETWEEN 3 AND 254 AND email = lower(email)),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- What the person may do to the platform itself; NULL: nothing.
    platform_role text CHECK (platform_role IN ('admin', 'operator', 'viewer')),
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE members (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    user_id uuid NOT NULL REFERENCES users,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'developer', 'viewer', 'billing')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_id, organization_id)
);
CREATE INDEX members_page ON members (organization_id, id);

-- A session is a token that a login made: one look-up, one way to revoke, one name in the audit log.
-- The defaults are what an older version's tokens may do.
ALTER TABLE tokens
    ADD COLUMN kind text NOT NULL DEFAULT 'organization'
        CHECK (kind IN ('platform', 'organization', 'personal', 'session')),
    ADD COLUMN user_id uuid REFERENCES users,
    -- Of a platform token; a person's is the person's.
    ADD COLUMN platform_role text CHECK (platform_role IN ('admin', 'operator', 'viewer')),
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{read,deploy,manage}'
        CHECK (scopes <@ '{read,deploy,manage,billing,admin}' AND cardinality(scopes) > 0),
    -- The environments that it reaches; NULL: every one.
    ADD COLUMN environments uuid[] CHECK (cardinality(environments) BETWEEN 1 AND 32),
    -- The networks that it may be used from; NULL: from anywhere.
    ADD COLUMN networks cidr[] CHECK (cardinality(networks) BETWEEN 1 AND 32),
    ADD COLUMN last_used_at timestamptz,
    -- The token that took its place.
    ADD COLUMN rotated_to uuid REFERENCES tokens;
UPDATE tokens SET kind = 'platform', platform_role = 'admin', scopes = '{admin}'
    WHERE organization_id IS NULL;
ALTER TABLE tokens
    ADD CHECK (kind <> 'organization' OR user_id IS NULL),
    ADD CHECK (kind NOT IN ('personal', 'session') OR (user_id IS NOT NULL AND organization_id IS NULL)),
    ADD CHECK ((kind = 'platform') = (platform_role IS NOT NULL)),
    ADD CHECK (environments IS NULL OR kind = 'organization');
CREATE INDEX tokens_of_user ON tokens (user_id, id) WHERE user_id IS NOT NULL;

-- A suspended organization is read and not changed, but by operators.
ALTER TABLE organizations
    ADD COLUMN suspended_at timestamptz,
    ADD COLUMN suspended_reason text CHECK (length(suspended_reason) BETWEEN 1 AND 500),
    ADD CHECK ((suspended_at IS NULL) = (suspended_reason IS NULL));

-- Every process forgets what it believes of tokens. NOTIFY serialises commits: so not for an INSERT,
-- and not for the stamp of a token's last use.
CREATE FUNCTION credentials_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY skep_credentials;
    RETURN NULL;
END $$;
CREATE TRIGGER credentials_notify
    AFTER UPDATE OF revoked_at, expires_at, scopes, environments, networks ON tokens
    FOR EACH STATEMENT EXECUTE FUNCTION credentials_notify();
CREATE TRIGGER credentials_notify
    AFTER UPDATE OF platform_role, disabled_at ON users
    FOR EACH STATEMENT EXECUTE FUNCTION credentials_notify();
CREATE TRIGGER credentials_notify AFTER UPDATE OR DELETE ON members
    FOR EACH STATEMENT EXECUTE FUNCTION credentials_notify();
CREATE TRIGGER credentials_notify
    AFTER UPDATE OF suspended_at ON organizations
    FOR EACH STATEMENT EXECUTE FUNCTION credentials_notify();

-- Whom a secret belongs to, and what it is in one organization (by id or by slug; neither: none is
-- asked for). Runs as the owner: whoever asks has no organization yet. In PL/pgSQL, which keeps the plan.
CREATE FUNCTION token_holder(hash bytea, wanted_id uuid, wanted_slug text)
RETURNS TABLE (
    token uuid, kind text, user_id uuid, platform_role text, scopes text[], networks cidr[],
    environment_ids uuid[], environment_slugs text[], is_used_lately boolean,
    organization uuid, role text, suspended boolean
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp
ROWS 1 AS $$
BEGIN
    RETURN QUERY SELECT t.id, t.kind, t.user_id, coalesce(t.platform_role, u.platform_role), t.scopes, t.networks,
        t.environments,
        (SELECT array_agg(e.slug) FROM environments e WHERE e.id = ANY (t.environments)),
        t.last_used_at > now() - interval '1 minute',
        o.id,
        CASE WHEN t.organization_id = o.id THEN 'admin' ELSE m.role END,
        o.suspended_at IS NOT NULL
    FROM tokens t
    LEFT JOIN users u ON u.id = t.user_id
    LEFT JOIN organizations o ON o.id = wanted_id OR o.slug = wanted_slug
    LEFT JOIN members m ON m.user_id = t.user_id AND m.organization_id = o.id
    WHERE t.secret_hash = hash
        AND t.revoked_at IS NULL
        AND (t.expires_at IS NULL OR t.expires_at > now())
        AND u.disabled_at IS NULL;
END $$;
REVOKE EXECUTE ON FUNCTION token_holder FROM PUBLIC;
GRANT EXECUTE ON FUNCTION token_holder TO skep_api;

GRANT SELECT ON users, members TO skep_api, skep_worker;
GRANT UPDATE (expires_at, last_used_at, rotated_to) ON tokens TO skep_api;
GRANT UPDATE (suspended_at, suspended_reason, updated_at) ON organizations TO skep_api;
