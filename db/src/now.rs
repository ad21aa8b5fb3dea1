//! Postgres's clock, for the statements that diesel writes: what decides leases and stamps rows.
//!
//! `now()` is a name, which Postgres looks up along the search path: a test can put a clock of its
//! own before the system's. `diesel::dsl::now` must not be used beside it: it writes the keyword
//! `CURRENT_TIMESTAMP`, which nothing can stand in for.

diesel::define_sql_function! {
    /// When this transaction began.
    fn now() -> Timestamptz;
}
