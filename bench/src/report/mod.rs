//! What came of a run, as table, JSON and plots?
