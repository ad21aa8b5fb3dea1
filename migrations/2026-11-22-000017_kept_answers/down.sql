GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO skep_api;
DROP FUNCTION keep_answer, kept_answer;
