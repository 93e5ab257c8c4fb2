//! What it costs to know the country of a client: time, and allocations, which are to be none.
//!
//! `cargo bench -p weir-node --bench countries`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use divan::{AllocProfiler, Bencher, black_box};
use weir_access::CountryOf;
use weir_node::Countries;

#[path = "../../tests/src/mmdb.rs"]
#[allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "the file is a module of another crate"
)]
mod mmdb;

use mmdb::{Mmdb, Record};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Every network of 20 bits of 1.0.0.0/8 to 15.0.0.0/8, and as many of IPv6 of 36 bits.
fn countries() -> Countries {
    let codes = ["DE", "FR", "NL", "US", "JP", "BR", "ZA"];
    let names: Vec<String> = (0x1000_u32..0x10000)
        .flat_map(|index| {
            let v4 = Ipv4Addr::from(index << 12);
            let v6 = Ipv6Addr::from((0x2001 << 112) | (u128::from(index) << 92));
            [format!("{v4}/20"), format!("{v6}/36")]
        })
        .collect();
    let record = |(index, name)| (name, Record::City(codes[index % codes.len()]));
    let networks: Vec<_> = names.iter().map(String::as_str).enumerate().map(record).collect();
    let bytes = Mmdb { record_bits: 28, ..Mmdb::COUNTRIES }.write(&networks);
    Countries::from_bytes(bytes).expect("a database")
}

fn look_up(bencher: Bencher<'_, '_>, address: &dyn Fn(u32) -> IpAddr) {
    let countries = countries();
    let mut index = 0_u32;
    bencher.bench_local(|| {
        // Another network each time, as clients are: one that was asked for just before is in the processor's cache.
        index = index.wrapping_add(0x9e37_79b9);
        black_box(&countries).country(black_box(address(0x1000 + index % 0xf000)))
    });
}

#[divan::bench]
fn of_ipv4(bencher: Bencher<'_, '_>) {
    look_up(bencher, &|index| Ipv4Addr::from(index << 12 | 7).into());
}

#[divan::bench]
fn of_ipv6(bencher: Bencher<'_, '_>) {
    look_up(bencher, &|index| {
        Ipv6Addr::from((0x2001 << 112) | (u128::from(index) << 92) | 7).into()
    });
}

#[divan::bench]
fn unknown(bencher: Bencher<'_, '_>) {
    look_up(bencher, &|index| Ipv4Addr::from(0xc000_0000 | index).into());
}
