//! Which requests would a made-up crowd send?
