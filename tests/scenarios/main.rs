//! One file a behaviour: what a user of the stack sees.

mod collapse;
