//! Stored responses on disk: what a node still has after a restart, and what does not fit its memory.
//!
//! An index, which is an ordered map of bytes, says what is stored; bodies lie in files named by the digest of
//! their content. Everything here blocks: it is called from threads that may wait.

#[expect(unused_imports, reason = "the composition will call it")]
#[cfg_attr(not(test), expect(dead_code, reason = "the composition will call it"))]
mod bodies;
mod files;
pub mod fuzzing;
#[cfg_attr(not(test), expect(dead_code, reason = "the composition will call it"))]
mod lock;
#[cfg_attr(not(test), expect(dead_code, reason = "the composition will call it"))]
mod record;
