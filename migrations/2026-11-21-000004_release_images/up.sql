-- Whether any release needs an image is asked of every image on a node, again and again.

CREATE INDEX releases_of_image ON releases (resolved_image) WHERE resolved_image IS NOT NULL;
