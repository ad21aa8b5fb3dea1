DROP TABLE audit_chain;
DROP TRIGGER audit_log_enqueue ON audit_log;
DROP FUNCTION audit_log_enqueue;
DROP TABLE audit_unchained;
DROP INDEX audit_log_of_object;
ALTER TABLE audit_log DROP COLUMN result, DROP COLUMN user_id;
