//! Which requests are in a log, in whatever form it has?
