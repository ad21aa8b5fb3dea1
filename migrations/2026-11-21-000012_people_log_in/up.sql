-- People log in: passwords, what keeps them from being guessed, and what lets people in.

-- No role reads a hash but through `password_of`, one at a time: no query can take them all.
CREATE TABLE user_passwords (
    user_id uuid PRIMARY KEY REFERENCES users,
    hash text NOT NULL CHECK (hash LIKE '$argon2id$%' AND length(hash) <= 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE user_passwords ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON user_passwords TO skep_api USING (user_id = (SELECT skep_person()));

-- Lets a person set a password without the old one: the first one, or another one in the place of one that
-- was forgotten. A newer one takes the older one's place.
CREATE TABLE password_resets (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL UNIQUE REFERENCES users,
    secret_hash bytea NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE password_resets ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON password_resets TO skep_api USING (
    user_id = (SELECT skep_person())
    OR (SELECT skep_organization()) = '00000000-0000-0000-0000-000000000000');

-- Failures in a row, by the SHA-256 of the email, also of such as nobody has. Unlogged: what a crash of
-- Postgres forgets is a wait of a quarter of an hour.
CREATE UNLOGGED TABLE login_failures (
    email_hash bytea PRIMARY KEY CHECK (length(email_hash) = 32),
    failures integer NOT NULL CHECK (failures > 0),
    locked_until timestamptz NOT NULL DEFAULT '-infinity',
    tried_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_failures_age ON login_failures (tried_at);

CREATE TABLE invitations (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations,
    email text NOT NULL CHECK (length(email) BETWEEN 3 AND 254 AND email = lower(email)),
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'developer', 'viewer', 'billing')),
    secret_hash bytea NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (accepted_at IS NULL OR revoked_at IS NULL)
);
CREATE UNIQUE INDEX invitations_one_open ON invitations (organization_id, email)
    WHERE accepted_at IS NULL AND revoked_at IS NULL;
ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON invitations TO skep_api USING (
    organization_id = (SELECT skep_organization())
    OR (SELECT skep_organization()) = '00000000-0000-0000-0000-000000000000');

-- Operators look people up by how their email begins.
CREATE INDEX users_email_prefix ON users (email text_pattern_ops);

-- Requests that are made without a token have keys too: under the id of what they show instead.
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_token_id_fkey;

-- The doors through the wall for who has no token yet, each for one secret or one email at a time. They run
-- as the owner.
CREATE FUNCTION password_of(wanted text)
RETURNS TABLE (user_id uuid, hash text, set_at timestamptz, disabled boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 1 AS $$
    SELECT u.id, p.hash, p.updated_at, u.disabled_at IS NOT NULL
    FROM users u LEFT JOIN user_passwords p ON p.user_id = u.id
    WHERE u.email = wanted
$$;
CREATE FUNCTION password_reset_of(wanted bytea)
RETURNS TABLE (id uuid, user_id uuid, email text, name text, is_open boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 1 AS $$
    SELECT r.id, u.id, u.email, u.name, r.used_at IS NULL AND r.expires_at > now()
    FROM password_resets r JOIN users u ON u.id = r.user_id
    WHERE r.secret_hash = wanted
$$;
CREATE FUNCTION invitation_of(wanted bytea)
RETURNS TABLE (id uuid, organization_id uuid, email text, role text, is_open boolean, user_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 1 AS $$
    SELECT i.id, i.organization_id, i.email, i.role,
        i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now(), u.id
    FROM invitations i LEFT JOIN users u ON u.email = i.email
    WHERE i.secret_hash = wanted
$$;

-- The organizations of the person that the connection was told.
CREATE FUNCTION memberships()
RETURNS TABLE (id uuid, organization_id uuid, slug text, name text, suspended_at timestamptz, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 10 AS $$
    SELECT m.id, o.id, o.slug, o.name, o.suspended_at, m.role
    FROM members m JOIN organizations o ON o.id = m.organization_id
    WHERE m.user_id = skep_person()
    ORDER BY o.slug
$$;
REVOKE EXECUTE ON FUNCTION password_of, password_reset_of, invitation_of, memberships FROM PUBLIC;
GRANT EXECUTE ON FUNCTION password_of, password_reset_of, invitation_of, memberships TO skep_api;

GRANT INSERT ON users, members, user_passwords, password_resets, invitations TO skep_api;
GRANT SELECT ON password_resets, invitations TO skep_api;
GRANT SELECT (user_id, updated_at), UPDATE (hash, updated_at) ON user_passwords TO skep_api;
GRANT UPDATE (id, secret_hash, expires_at, used_at, created_at, updated_at) ON password_resets TO skep_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON login_failures TO skep_api;
GRANT SELECT, DELETE ON login_failures TO skep_worker;
GRANT UPDATE (accepted_at, revoked_at, updated_at) ON invitations TO skep_api;
GRANT UPDATE (name, platform_role, disabled_at, updated_at) ON users TO skep_api;
GRANT UPDATE (role, updated_at), DELETE ON members TO skep_api;
