//! The rules that look at a request without secrets: who asks, from which page, from which site.

pub(crate) mod agents;
pub(crate) mod client;
pub(crate) mod hosts;
pub(crate) mod nets;
pub(crate) mod source;
