//! Reads what a node counts.

/// The counters of one node at one moment.
#[derive(Debug, Clone)]
pub struct Metrics {
    text: String,
}

impl Metrics {
    /// Parses the text of `/metrics`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { text }
    }

    /// The sum of all samples of `name` whose labels contain every one of `labels`
    /// (`cache="hit"`); 0 if there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.text
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| series.split('{').next() == Some(name))
            .filter(|(series, _)| labels.iter().all(|label| series.contains(label)))
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum()
    }

    /// The same without labels.
    #[must_use]
    pub fn get(&self, name: &str) -> f64 {
        self.sum(name, &[])
    }
}
