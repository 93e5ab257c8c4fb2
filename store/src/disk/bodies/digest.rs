//! What is a body called?
//!
//! By the BLAKE3 digest of its content, so that equal bodies are one file and a file that holds something
//! else can be told.

use std::fmt;

/// Bytes of the name of a body's file.
const NAME_BYTES: usize = 64;

/// The BLAKE3 digest of a body's content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// Makes a digest of its bytes.
    pub(crate) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of `content`. Costs about 0.3 ms a MiB.
    pub(crate) fn of(content: &[u8]) -> Self {
        Self(blake3::hash(content).into())
    }

    /// Its bytes.
    pub(crate) const fn bytes(self) -> [u8; 32] {
        self.0
    }

    /// The first byte, which names the folder that the file lies in.
    pub(super) const fn shelf(self) -> u8 {
        self.0[0]
    }

    /// The greatest digest in the folder `shelf`.
    pub(super) const fn last_of(shelf: u8) -> Self {
        let mut bytes = [0xff; 32];
        bytes[0] = shelf;
        Self(bytes)
    }

    /// Reads the name of a file; `None` if no body is called so.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if name.len() != NAME_BYTES || !name.bytes().all(lower) {
            return None;
        }
        blake3::Hash::from_hex(name).ok().map(|hash| Self(hash.into()))
    }
}

/// As 64 hexadecimal digits, which is the name of the file.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_digest_in_lower_case() {
        let digest = Digest::of(b"abc");
        let name = digest.to_string();
        assert_eq!(name, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        assert_eq!(Digest::from_name(&name), Some(digest));
        assert_eq!(Digest::new(digest.bytes()), digest);
        for other in ["", "tmp", &name[1..], &name.to_uppercase(), &format!("{name}0")] {
            assert_eq!(Digest::from_name(other), None, "{other}");
        }
    }

    #[test]
    fn the_last_of_a_folder_comes_after_all_in_it_and_before_the_next() {
        assert!(Digest::new([7; 32]) < Digest::last_of(7));
        assert!(Digest::last_of(7) < Digest::new([8; 32]));
        assert_eq!(Digest::last_of(7).shelf(), 7);
    }
}
