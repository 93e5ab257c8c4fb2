//! Which values limits of clients take: rates, bandwidths and networks.

use std::net::IpAddr;

use ipnet::IpNet;

use super::text::Text;
use crate::config::problem::quote;
use crate::config::rate::{Bandwidth, Rate};

/// Events in a time.
pub(in crate::config) const fn rate() -> Text<Rate> {
    Text {
        unit: "rate",
        range: "1 to 10000000 a second (/s), minute (/m) or hour (/h)",
        example: "50/s",
        parse: |text| text.parse().map_err(|why| format!("{} {why}", quote(text))),
        write: Rate::to_string,
    }
}

/// Bytes a second that bodies are sent with, enough to get anywhere.
pub(in crate::config) const fn bandwidth() -> Text<Bandwidth> {
    Text {
        range: "at least 1KiB/s",
        parse: |text| {
            let bandwidth = read_bandwidth(text)?;
            let enough = bandwidth.as_u64() >= 1024;
            enough.then_some(bandwidth).ok_or_else(|| format!("found {}", quote(text)))
        },
        ..least_bandwidth()
    }
}

/// Bytes a second that are the least that is borne with; none for no such bound.
pub(in crate::config) const fn least_bandwidth() -> Text<Bandwidth> {
    Text {
        unit: "bandwidth",
        range: "a size for each second (/s)",
        example: "2MiB/s",
        parse: read_bandwidth,
        write: Bandwidth::to_string,
    }
}

fn read_bandwidth(text: &str) -> Result<Bandwidth, String> {
    text.parse().map_err(|why| format!("{} {why}", quote(text)))
}

/// An address, or a network.
pub(in crate::config) const fn network() -> Text<IpNet> {
    Text {
        unit: "network",
        range: "an address, or a network with zeros behind its prefix",
        example: "192.0.2.0/24",
        parse: |text| {
            let net = text
                .parse()
                .or_else(|_no_net| text.parse().map(|address: IpAddr| IpNet::from(address)));
            net.ok()
                .filter(|net: &IpNet| net.addr() == net.network())
                .ok_or_else(|| format!("found {}", quote(text)))
        },
        write: |net| match net.max_prefix_len() == net.prefix_len() {
            true => net.addr().to_string(),
            false => net.to_string(),
        },
    }
}
