-- Whether environments are apart, as probes found that ran on their networks.
CREATE TABLE isolation_checks (
    id uuid PRIMARY KEY,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'ended')),
    -- Each is tried with each other.
    environments uuid[] NOT NULL CHECK (cardinality(environments) BETWEEN 2 AND 4),
    -- NULL: the platform itself asked.
    requested_by uuid REFERENCES tokens,
    -- Until when the worker that runs it has it to itself.
    claimed_until timestamptz,
    tries integer NOT NULL DEFAULT 0,
    verdict text CHECK (verdict IN ('isolated', 'breached', 'inconclusive')),
    sentence text,
    findings jsonb,
    started_at timestamptz,
    finished_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'ended') = (verdict IS NOT NULL AND sentence IS NOT NULL AND finished_at IS NOT NULL))
);
CREATE INDEX isolation_checks_open ON isolation_checks (id) WHERE status <> 'ended';
CREATE INDEX isolation_checks_age ON isolation_checks (created_at);

GRANT SELECT, INSERT ON isolation_checks TO skep_api, skep_worker;
GRANT UPDATE, DELETE ON isolation_checks TO skep_worker;
