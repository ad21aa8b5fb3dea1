REVOKE UPDATE (role, updated_at), DELETE, INSERT ON members FROM skep_api;
REVOKE UPDATE (name, platform_role, disabled_at, updated_at), INSERT ON users FROM skep_api;
DROP FUNCTION memberships;
DROP FUNCTION invitation_of;
DROP FUNCTION password_reset_of;
DROP FUNCTION password_of;
DELETE FROM idempotency_keys k WHERE NOT EXISTS (SELECT FROM tokens t WHERE t.id = k.token_id);
ALTER TABLE idempotency_keys ADD CONSTRAINT idempotency_keys_token_id_fkey
    FOREIGN KEY (token_id) REFERENCES tokens;
DROP INDEX users_email_prefix;
DROP TABLE invitations;
DROP TABLE login_failures;
DROP TABLE password_resets;
DROP TABLE user_passwords;
