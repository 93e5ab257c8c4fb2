//! What hit ratio would nodes reach on a log?
