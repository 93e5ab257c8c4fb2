//! How fast does a server answer, and how late?
