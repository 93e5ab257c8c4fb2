//! Which field lines go into a response head?
//!
//! A list of lines in order, written as they are: no check, no folding, no change of case. A script
//! may therefore send a head that no careful server would.

/// Response fields in the order in which they are sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(String, Vec<u8>)>);

impl Fields {
    /// Adds a line after the others.
    pub(crate) fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.0.push((name.to_owned(), value.as_ref().to_vec()));
    }

    /// Replaces all lines of that name by one.
    pub(crate) fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.0.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.push(name, value);
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, separated by commas.
    pub(crate) fn names(&self) -> String {
        self.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Says whether a line of that name is exactly `value`, in any case.
    pub(crate) fn says(&self, name: &str, value: &str) -> bool {
        self.values(name).any(|other| other.eq_ignore_ascii_case(value.as_bytes()))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let of_name = self.0.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_slice())
    }

    /// Appends the lines and the blank line that ends them.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.0 {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}
