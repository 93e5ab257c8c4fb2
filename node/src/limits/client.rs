//! Whom does an address belong to, as far as limits go?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::config::LimitsConfig;

/// A client: an address, or the network that one client has to itself.
///
/// A host has a whole /64 of IPv6 to choose addresses from, so that a limit for each address would be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Client(u128);

/// How addresses become clients.
#[derive(Debug)]
pub(super) struct Clients {
    mask_v4: u32,
    mask_v6: u128,
    exempt: Vec<IpNet>,
}

impl Clients {
    pub(super) fn new(limits: &LimitsConfig) -> Self {
        let cut_v4 = 32 - u32::from(limits.client_prefix_v4.min(32));
        let cut_v6 = 128 - u32::from(limits.client_prefix_v6.min(128));
        Self {
            mask_v4: u32::MAX.checked_shl(cut_v4).unwrap_or(0),
            mask_v6: u128::MAX.checked_shl(cut_v6).unwrap_or(0),
            exempt: limits.exempt.clone(),
        }
    }

    /// The client that `address` belongs to; `None` if limits for one client are not for it.
    pub(super) fn of(&self, address: IpAddr) -> Option<Client> {
        // A socket for both families reports IPv4 clients as mapped addresses.
        let address = address.to_canonical();
        if self.exempt.iter().any(|net| net.contains(&address)) {
            return None;
        }
        Some(Client(match address {
            IpAddr::V4(address) => {
                let network = Ipv4Addr::from_bits(address.to_bits() & self.mask_v4);
                network.to_ipv6_mapped().to_bits()
            }
            IpAddr::V6(address) => address.to_bits() & self.mask_v6,
        }))
    }
}

/// Whether an address is one of the open Internet, behind which one would expect one client.
///
/// What is not: loopback, private and link-local networks, and the shared ones of carriers.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let carrier = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || carrier)
        }
        IpAddr::V6(v6) => {
            !(v6 == Ipv6Addr::LOCALHOST || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(edit: impl FnOnce(&mut LimitsConfig)) -> Clients {
        let mut limits = LimitsConfig::default();
        edit(&mut limits);
        Clients::new(&limits)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_shares_a_client() {
        let standard = clients(|_| {});
        let wide = clients(|limits| (limits.client_prefix_v4, limits.client_prefix_v6) = (24, 48));
        let narrow = clients(|limits| limits.client_prefix_v6 = 128);
        // (clients, one address, another, whether they are one client, why)
        let cases = [
            (&standard, "192.0.2.1", "192.0.2.1", true, "the same"),
            (&standard, "192.0.2.1", "192.0.2.2", false, "neighbors"),
            (&standard, "192.0.2.1", "::ffff:192.0.2.1", true, "mapped"),
            (&standard, "::192.0.2.1", "192.0.2.1", false, "another kind of address"),
            (&standard, "2001:db8::1", "2001:db8::ffff:1", true, "a /64"),
            (&standard, "2001:db8::1", "2001:db8:0:1::1", false, "two of them"),
            (&wide, "192.0.2.1", "192.0.2.200", true, "a /24"),
            (&wide, "192.0.2.1", "192.0.3.1", false, "two of them"),
            (&wide, "2001:db8::1", "2001:db8:0:1::1", true, "a /48"),
            (&narrow, "2001:db8::1", "2001:db8::2", false, "whole addresses"),
        ];
        for (clients, one, other, same, why) in cases {
            assert_eq!(clients.of(ip(one)) == clients.of(ip(other)), same, "{why}: {one} {other}");
        }
    }

    #[test]
    fn the_exempt_are_nobody() {
        let clients = clients(|limits| {
            limits.exempt = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        });
        for exempt in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8:1::1"] {
            assert_eq!(clients.of(ip(exempt)), None, "{exempt}");
        }
        for other in ["11.1.2.3", "2001:db9::1"] {
            assert!(clients.of(ip(other)).is_some(), "{other}");
        }
    }

    #[test]
    fn public_is_what_one_client_may_have() {
        for public in ["192.0.2.1", "100.128.0.1", "100.63.0.1", "2001:db8::1"] {
            assert!(is_public(ip(public)), "{public}");
        }
        let others = [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ];
        for other in others {
            assert!(!is_public(ip(other)), "{other}");
        }
    }
}
