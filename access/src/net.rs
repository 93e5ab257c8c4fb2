//! Which clients does a network have in it?
//!
//! Addresses and networks that were mapped into IPv6 (`::ffff:192.0.2.0/120`) are IPv4 again on both
//! sides, so that a rule holds whichever socket a client came through.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`; bits behind the prefix must be zero.
pub(crate) fn parse(text: &str) -> Option<IpNet> {
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_no_address) => text.parse::<IpNet>().ok()?,
    };
    if net.addr() != net.network() {
        return None;
    }
    Some(unmapped(net))
}

/// Writes a network as [`parse`] reads it; a single address without its length.
pub(crate) fn format(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(wide) = net else { return net };
    let mapped = wide.addr().to_ipv4_mapped();
    let len = wide.prefix_len().checked_sub(96);
    match mapped.zip(len).map(|(address, len)| Ipv4Net::new(address, len)) {
        Some(Ok(narrow)) => IpNet::V4(narrow),
        _ => net,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_one_form() {
        // (text, form; None: refused)
        const CASES: &[(&str, Option<&str>)] = &[
            ("192.0.2.7", Some("192.0.2.7")),
            ("192.0.2.7/32", Some("192.0.2.7")),
            ("192.0.2.0/24", Some("192.0.2.0/24")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("2001:DB8::/32", Some("2001:db8::/32")),
            ("::1", Some("::1")),
            ("::ffff:192.0.2.0/120", Some("192.0.2.0/24")),
            ("::ffff:192.0.2.7", Some("192.0.2.7")),
            ("::/0", Some("::/0")),
            ("192.0.2.7/24", None),
            ("192.0.2.0/33", None),
            ("192.0.2", None),
            ("192.0.2.0/+24", None),
            ("010.0.0.1", None),
            ("fe80::1%eth0", None),
            ("", None),
        ];
        for &(text, form) in CASES {
            assert_eq!(parse(text).map(format).as_deref(), form, "{text}");
        }
    }
}
