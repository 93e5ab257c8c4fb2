//! Which keys were evicted a short while ago? One that comes back was worth more than it seemed.
//!
//! Prints of keys in groups of four; in each the oldest makes place. So one costs eight bytes, and none needs
//! a line of all of them. Two keys with the same print are one here.

/// Prints in one group.
const GROUP: usize = 4;
/// Groups at first; a power of two.
const GROUPS_MIN: usize = 64;
/// Groups at most, so that they take 16 MiB.
const GROUPS_MAX: usize = 1 << 19;
/// The bits of a word that say how often the key was used.
const USES: u64 = 0xff;

/// Keys that were evicted.
#[derive(Debug, Clone)]
pub(super) struct Ghosts {
    /// As many groups as a power of two. The newest print of each is the first; zero is none.
    groups: Vec<[u64; GROUP]>,
}

impl Default for Ghosts {
    fn default() -> Self {
        Self { groups: vec![[0; GROUP]; GROUPS_MIN] }
    }
}

impl Ghosts {
    /// Remembers a key that was used so often. As many keys are remembered as are held,
    /// `keys`, or up to twice that.
    pub(super) fn add(&mut self, print: u64, uses: u8, keys: u64) {
        self.grow_to(keys);
        put(&mut self.groups, print & !USES | u64::from(uses.max(1)));
    }

    /// Forgets a key; returns how often it was used, or `None` if it was not known.
    pub(super) fn take(&mut self, print: u64) -> Option<u8> {
        let place = place_of(print, self.groups.len());
        let group = self.groups.get_mut(place)?;
        let word = group.iter_mut().find(|word| **word != 0 && **word & !USES == print & !USES)?;
        let uses = std::mem::take(word) & USES;
        u8::try_from(uses).ok()
    }

    fn grow_to(&mut self, keys: u64) {
        let held = u64::try_from(self.groups.len().saturating_mul(GROUP)).unwrap_or(u64::MAX);
        if held >= keys || self.groups.len() >= GROUPS_MAX {
            return;
        }
        let mut groups = vec![[0; GROUP]; self.groups.len().saturating_mul(2)];
        // The oldest first, so that the newest stay before them.
        for age in (0..GROUP).rev() {
            for word in self.groups.iter().filter_map(|group| group.get(age)) {
                if *word != 0 {
                    put(&mut groups, *word);
                }
            }
        }
        self.groups = groups;
    }
}

fn put(groups: &mut [[u64; GROUP]], word: u64) {
    let place = place_of(word, groups.len());
    if let Some(group) = groups.get_mut(place) {
        group.rotate_right(1);
        if let Some(first) = group.first_mut() {
            *first = word;
        }
    }
}

/// The group of a print among `groups`, of which there are as many as a power of two.
fn place_of(print: u64, groups: usize) -> usize {
    let number = usize::try_from(print >> 8 & 0xffff_ffff).unwrap_or(0);
    number & groups.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn a_key_is_remembered_once_with_its_uses() {
        let mut ghosts = Ghosts::default();
        ghosts.add(print(7), 3, 1);
        ghosts.add(print(8), 0, 1);
        assert_eq!(ghosts.take(print(7)), Some(3));
        assert_eq!(ghosts.take(print(7)), None);
        assert_eq!(ghosts.take(print(8)), Some(1));
    }

    #[test]
    fn about_as_many_are_remembered_as_are_held() {
        let mut ghosts = Ghosts::default();
        (1..=10_000).for_each(|number| ghosts.add(print(number), 1, 4_000));
        let known = |ghosts: &mut Ghosts, from: u64, below: u64| {
            (from..below).filter(|number| ghosts.take(print(*number)).is_some()).count()
        };
        let newest = known(&mut ghosts, 9_001, 10_001);
        assert!(newest > 950, "{newest} of the newest 1000");
        let oldest = known(&mut ghosts, 1, 1_001);
        assert!(oldest < 300, "{oldest} of the oldest 1000");
    }
}
