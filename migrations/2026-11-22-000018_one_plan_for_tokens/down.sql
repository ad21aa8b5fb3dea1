ALTER FUNCTION token_holder(bytea, uuid, text) RESET plan_cache_mode;
