-- The audit log is told from outside to be whole: each organization's rows are a chain of hashes.

ALTER TABLE audit_log
    -- The person whose token it was.
    ADD COLUMN user_id uuid REFERENCES users,
    ADD COLUMN result text NOT NULL DEFAULT 'done' CHECK (result IN ('done', 'refused'));
-- What happened to this app, this token, this person?
CREATE INDEX audit_log_of_object ON audit_log (object, id);

-- Rows that no chain has yet. Filled by the insert itself: nobody can write a row past it.
CREATE TABLE audit_unchained (
    audit_id uuid PRIMARY KEY REFERENCES audit_log
);
CREATE FUNCTION audit_log_enqueue() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_unchained (audit_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_log_enqueue AFTER INSERT ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_enqueue();
INSERT INTO audit_unchained (audit_id) SELECT id FROM audit_log;

CREATE TABLE audit_chain (
    -- The nil id: the platform's own rows.
    organization_id uuid NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    audit_id uuid NOT NULL UNIQUE REFERENCES audit_log,
    -- Of the row and the hash before it.
    hash bytea NOT NULL CHECK (length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, number)
);
CREATE TRIGGER audit_chain_append_only BEFORE UPDATE OR DELETE ON audit_chain
    FOR EACH ROW EXECUTE FUNCTION audit_log_append_only();
CREATE TRIGGER audit_chain_no_truncate BEFORE TRUNCATE ON audit_chain
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_append_only();

ALTER TABLE audit_chain ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON audit_chain TO skep_api USING (
    organization_id = (SELECT skep_organization())
    OR (SELECT skep_organization()) = '00000000-0000-0000-0000-000000000000');
CREATE POLICY worker ON audit_chain TO skep_worker USING (true);

GRANT SELECT ON audit_chain TO skep_api, skep_worker;
GRANT INSERT ON audit_chain TO skep_worker;
GRANT SELECT, DELETE ON audit_unchained TO skep_worker;
