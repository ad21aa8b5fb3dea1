DROP FUNCTION tokens_used(uuid[]);
