-- Stamps the last use of many tokens in one statement: a busy API has a thousand of them a minute. `token_used`
-- stays for processes of before. A row that somebody else is at is skipped: the next use stamps it.
CREATE FUNCTION tokens_used(used uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE tokens SET last_used_at = now()
    WHERE id IN (
        SELECT id FROM tokens
        WHERE id = ANY (used) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
        FOR NO KEY UPDATE SKIP LOCKED)
$$;
REVOKE EXECUTE ON FUNCTION tokens_used FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tokens_used TO skep_api;
