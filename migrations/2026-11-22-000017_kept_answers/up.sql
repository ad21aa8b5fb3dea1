-- What was answered to somebody's request is theirs. A key belongs to a credential and to no organization, so that row
-- security has nothing to compare with: the API's role cannot read the table at all. Two functions of its owner give one
-- answer, to who names credential, route and key, and keep one. An API that is older reads the table itself and has to be stopped
-- first: none was released.

CREATE FUNCTION kept_answer(credential uuid, of_route text, of_key text)
RETURNS TABLE (request_hash bytea, status smallint, headers jsonb, body text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp
ROWS 1 AS $$
BEGIN
    RETURN QUERY SELECT kept.request_hash, kept.status, kept.headers, kept.body
    FROM idempotency_keys AS kept
    WHERE kept.token_id = credential AND kept.route = of_route AND kept.key = of_key
        AND kept.created_at > now() - interval '24 hours';
END $$;

-- Keeps an answer for 24 hours. False: another one is kept there.
CREATE FUNCTION keep_answer(credential uuid, of_route text, of_key text, hash bytea, deployment uuid,
    answer_status smallint, answer_headers jsonb, answer_body text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO idempotency_keys
        (token_id, route, key, request_hash, deployment_id, status, headers, body)
    VALUES (credential, of_route, of_key, hash, deployment, answer_status, answer_headers, answer_body)
    ON CONFLICT (token_id, route, key) DO UPDATE SET
        request_hash = EXCLUDED.request_hash, deployment_id = EXCLUDED.deployment_id,
        status = EXCLUDED.status, headers = EXCLUDED.headers, body = EXCLUDED.body,
        created_at = EXCLUDED.created_at
    WHERE idempotency_keys.created_at <= now() - interval '24 hours';
    RETURN FOUND;
END $$;

REVOKE EXECUTE ON FUNCTION kept_answer, keep_answer FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kept_answer, keep_answer TO skep_api;
REVOKE ALL ON idempotency_keys FROM skep_api;
