DROP TABLE isolation_checks;
