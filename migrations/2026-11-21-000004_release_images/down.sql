DROP INDEX releases_of_image;
