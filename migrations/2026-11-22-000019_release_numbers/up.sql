-- Who reads an app wants the numbers of two releases: of the live one, and of the one that was seen. Both are looked up
-- when they change, and no more at each read: a page of fifty apps took a hundred look-ups for them. A release's number
-- never changes.
ALTER TABLE apps ADD COLUMN live_release_number integer;
ALTER TABLE app_status ADD COLUMN release_number integer;

CREATE FUNCTION live_release_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.live_release_number := (SELECT number FROM releases WHERE id = NEW.live_release_id);
    RETURN NEW;
END $$;
CREATE TRIGGER live_release_number_insert BEFORE INSERT ON apps
    FOR EACH ROW WHEN (NEW.live_release_id IS NOT NULL) EXECUTE FUNCTION live_release_number();
CREATE TRIGGER live_release_number_update BEFORE UPDATE OF live_release_id ON apps
    FOR EACH ROW WHEN (NEW.live_release_id IS DISTINCT FROM OLD.live_release_id) EXECUTE FUNCTION live_release_number();

CREATE FUNCTION seen_release_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.release_number := (SELECT number FROM releases WHERE id = NEW.release_id);
    RETURN NEW;
END $$;
CREATE TRIGGER seen_release_number_insert BEFORE INSERT ON app_status
    FOR EACH ROW WHEN (NEW.release_id IS NOT NULL) EXECUTE FUNCTION seen_release_number();
CREATE TRIGGER seen_release_number_update BEFORE UPDATE OF release_id ON app_status
    FOR EACH ROW WHEN (NEW.release_id IS DISTINCT FROM OLD.release_id) EXECUTE FUNCTION seen_release_number();

UPDATE apps SET live_release_number = r.number FROM releases r WHERE r.id = apps.live_release_id;
UPDATE app_status SET release_number = r.number FROM releases r WHERE r.id = app_status.release_id;
