//! Is an address in one of many networks?
//!
//! Networks become ranges that neither overlap nor touch, so that a list of thousands costs a binary search.

use std::net::IpAddr;

use ipnet::IpNet;

/// A set of addresses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nets {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

impl Nets {
    /// Puts networks together. Mapped ones are to be IPv4 already (see `net::parse`).
    pub(crate) fn new(nets: &[IpNet]) -> Self {
        let range = |net: &IpNet| (number(net.network()), number(net.broadcast()));
        let (v4, v6): (Vec<&IpNet>, Vec<&IpNet>) =
            nets.iter().partition(|net| net.addr().is_ipv4());
        let merged = |nets: Vec<&IpNet>| merge(nets.into_iter().map(range).collect());
        Self { v4: merged(v4), v6: merged(v6) }
    }

    /// Says whether a canonical address is in the set.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let ranges = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let number = number(address);
        let after = ranges.partition_point(|(first, _)| *first <= number);
        let candidate = after.checked_sub(1).and_then(|index| ranges.get(index));
        candidate.is_some_and(|(_, last)| number <= *last)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn merge(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net;

    fn set(texts: &[&str]) -> Nets {
        Nets::new(&texts.iter().map(|text| net::parse(text).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn addresses_are_found_in_any_of_the_networks() {
        let nets = set(&[
            "10.1.0.0/16",
            "10.0.0.0/16",
            "10.0.3.0/24",
            "192.0.2.7",
            "2001:db8::/32",
            "::ffff:203.0.113.0/120",
            "255.255.255.255",
        ]);
        assert_eq!(nets.v4.len(), 4, "overlapping and touching networks are one range");
        for address in [
            "10.0.0.0",
            "10.1.255.255",
            "192.0.2.7",
            "2001:db8::1",
            "203.0.113.9",
            "255.255.255.255",
        ] {
            assert!(nets.contains(address.parse().unwrap()), "{address}");
        }
        for address in
            ["9.255.255.255", "10.2.0.0", "192.0.2.8", "2001:db9::", "::", "0.0.0.0", "::a01:1"]
        {
            assert!(!nets.contains(address.parse().unwrap()), "{address}");
        }
        let all = set(&["0.0.0.0/0", "::/0"]);
        for address in ["0.0.0.0", "255.255.255.255", "::", "ffff::ffff"] {
            assert!(all.contains(address.parse().unwrap()), "{address}");
        }
        assert!(!Nets::default().contains("::".parse().unwrap()));
    }
}
