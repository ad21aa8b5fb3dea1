-- What values are sealed to: public keys. The private ones are in a file of the workers', and never here.
CREATE TABLE sealing_keys (
    -- The first eight bytes of the public key's SHA-256.
    id text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    -- Whether values are sealed to it now.
    is_current boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX sealing_keys_current ON sealing_keys (is_current) WHERE is_current;

GRANT SELECT ON sealing_keys TO skep_api, skep_worker;
