//! Bytes at rest: which stored responses does this node hold, and which of them fits a request?
//!
//! Memory only: a byte-weighed map from [`weir_cache::CacheKey`] to the variants stored under it.
//! Whether a response *may* be stored or reused is `weir-cache`'s decision; this crate keeps what it
//! is given, drops what does not fit, and counts both.

mod memory;
mod part;
mod response;
mod variants;

pub use memory::{MemoryStore, StoreLimits, StoreStats};
pub use part::StoredParts;
pub use response::StoredResponse;
pub use variants::{PartsChange, Variants};
