DROP FUNCTION token_holder;
DROP TRIGGER credentials_notify ON organizations;
DROP TRIGGER credentials_notify ON members;
DROP TRIGGER credentials_notify ON users;
DROP TRIGGER credentials_notify ON tokens;
DROP FUNCTION credentials_notify;
ALTER TABLE organizations
    DROP COLUMN suspended_reason,
    DROP COLUMN suspended_at;
-- What an older version cannot tell from an operator's token must not become one.
UPDATE tokens SET revoked_at = coalesce(revoked_at, now())
    WHERE kind IN ('personal', 'session') OR (kind = 'platform' AND platform_role <> 'admin');
DROP INDEX tokens_of_user;
ALTER TABLE tokens
    DROP COLUMN rotated_to,
    DROP COLUMN last_used_at,
    DROP COLUMN networks,
    DROP COLUMN environments,
    DROP COLUMN scopes,
    DROP COLUMN platform_role,
    DROP COLUMN user_id,
    DROP COLUMN kind;
DROP TABLE members;
DROP TABLE users;
