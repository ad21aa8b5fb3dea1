//! The plan as a table: what is seen, and what comes next.
