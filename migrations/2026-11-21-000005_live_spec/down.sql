ALTER TABLE apps DROP COLUMN live_fingerprint;
