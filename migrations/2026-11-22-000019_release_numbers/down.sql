DROP TRIGGER seen_release_number_update ON app_status;
DROP TRIGGER seen_release_number_insert ON app_status;
DROP FUNCTION seen_release_number;
DROP TRIGGER live_release_number_update ON apps;
DROP TRIGGER live_release_number_insert ON apps;
DROP FUNCTION live_release_number;
ALTER TABLE app_status DROP COLUMN release_number;
ALTER TABLE apps DROP COLUMN live_release_number;
