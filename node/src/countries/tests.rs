//! Files as they should be, and files as they should not.

use super::*;
use crate::mmdb::{Mmdb, Record};

const NETWORKS: [(&str, Record<'_>); 7] = [
    ("192.0.2.0/24", Record::Country("DE")),
    ("192.0.2.128/25", Record::City("FR")),
    ("198.51.100.7/32", Record::Country("us")),
    ("203.0.113.0/24", Record::Owner("Example")),
    ("203.0.113.8/29", Record::Country("Germany")),
    ("203.0.113.16/29", Record::Raw(b"\xff\xff\xff\xff\xff")),
    ("203.0.113.32/29", Record::Raw(b"\xe1\x47country\x42ZZ")),
];

fn located(countries: &Countries, address: &str) -> String {
    match countries.locate(address.parse().unwrap()) {
        Located::Known(country) => format!("{country:?}"),
        other => other.as_str().to_owned(),
    }
}

#[test]
fn an_address_is_where_the_smallest_network_around_it_is() {
    // (address, expected, why)
    let v4 = [
        ("192.0.2.1", "DE", "the network"),
        ("192.0.2.129", "FR", "one inside it, behind a pointer"),
        ("::ffff:192.0.2.129", "FR", "IPv4 mapped into IPv6"),
        ("198.51.100.7", "US", "one address, in lower case"),
        ("198.51.100.6", "unknown", "its neighbor"),
        ("203.0.113.1", "unknown", "a record without a country"),
        ("203.0.113.9", "unreadable", "no two letters"),
        ("203.0.113.17", "unreadable", "a record of a type that there is not"),
        ("203.0.113.33", "unreadable", "a text where a table is expected"),
        ("10.0.0.1", "unknown", "nothing of the kind"),
    ];
    let v6 = [
        ("2001:db8::1", "NL", "an IPv6 network"),
        ("2001:db9::1", "unknown", "its neighbor"),
        ("::1", "unknown", "above those of IPv4"),
    ];
    for record_bits in [24, 28, 32] {
        for ip_version in [4, 6] {
            let mmdb = Mmdb { ip_version, record_bits, ..Mmdb::COUNTRIES };
            let mut networks = NETWORKS.to_vec();
            if ip_version == 6 {
                networks.push(("2001:db8::/32", Record::Country("NL")));
            }
            let countries = Countries::from_bytes(mmdb.write(&networks)).unwrap();
            for (address, expected, why) in v4 {
                assert_eq!(located(&countries, address), expected, "{why}: {mmdb:?}");
            }
            for (address, expected, why) in v6 {
                let expected = if ip_version == 4 { "unknown" } else { expected };
                assert_eq!(located(&countries, address), expected, "{why}: {mmdb:?}");
            }
            assert_eq!(countries.kind(), Some("Weir-Test-Country"));
            assert_eq!(countries.built(), Some(u64::from(Mmdb::BUILT)));
        }
    }
}

#[test]
fn without_a_file_nothing_is_known() {
    let none = Countries::default();
    assert_eq!(none.locate("192.0.2.1".parse().unwrap()), Located::Unknown);
    assert_eq!((none.kind(), none.built()), (None, None));
}

/// Asks a database, of which nothing is known, for some addresses.
fn ask(bytes: Vec<u8>) {
    let Ok(countries) = Countries::from_bytes(bytes) else { return };
    for address in ["192.0.2.1", "192.0.2.129", "203.0.113.17", "2001:db8::1", "::"] {
        let _where = countries.locate(address.parse().unwrap());
    }
}

#[test]
fn no_file_panics_wherever_it_ends_and_whatever_is_changed() {
    for (ip_version, record_bits) in [(4, 24), (6, 24), (6, 28), (6, 32)] {
        let mmdb = Mmdb { ip_version, record_bits, ..Mmdb::COUNTRIES };
        let whole = mmdb.write(&NETWORKS);
        for end in 0..whole.len() {
            ask(whole[..end].to_vec());
            ask(whole[end..].to_vec());
        }
        for at in 0..whole.len() {
            for changed in [0, 0xff, whole[at] ^ 1, whole[at] ^ 0x80, whole[at].wrapping_add(32)] {
                let mut bytes = whole.clone();
                bytes[at] = changed;
                ask(bytes);
            }
        }
    }
}

#[test]
fn a_file_that_ends_early_is_refused() {
    let whole = Mmdb::COUNTRIES.write(&NETWORKS);
    for end in 0..whole.len() {
        let refused = Countries::from_bytes(whole[..end].to_vec()).unwrap_err();
        assert!(matches!(refused, CountriesError::NoDatabase(_)), "{end}: {refused}");
    }
}

#[test]
fn a_tree_that_doubles_at_every_step_is_not_walked_to_its_end() {
    // Both records of each node lead to the next: 2^127 networks in 128 nodes, none of which has data.
    let mut bytes = Vec::new();
    for node in 1..=128_u32 {
        let [_, a, b, c] = node.to_be_bytes();
        bytes.extend([a, b, c, a, b, c]);
    }
    let some = Mmdb::COUNTRIES.write(&[("::/128", Record::Country("DE"))]);
    let metadata = some.iter().position(|byte| *byte == 0xab).unwrap();
    bytes.extend([0; 16]);
    bytes.extend(&some[metadata..]);
    let refused = Countries::from_bytes(bytes).unwrap_err();
    assert!(matches!(refused, CountriesError::NoCountries { .. }), "{refused}");
}

#[test]
fn what_is_no_database_of_countries_is_refused_with_a_reason() {
    let owners = Mmdb { kind: "Weir-Test-\u{1b}ASN", ..Mmdb::COUNTRIES };
    let owners = owners.write(&[("192.0.2.0/24", Record::Owner("Example"))]);
    let empty = Mmdb::COUNTRIES.write(&[]);
    // (content, expected, why)
    let cases = [
        (owners, "is of the type \"Weir-Test-\\u{1b}ASN\" and has no country.iso_code", "another"),
        (empty, "is of the type \"Weir-Test-Country\" and has no country.iso_code", "no network"),
        (Vec::new(), "is no MaxMind DB file, or not all of one", "nothing"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "is no MaxMind DB file, or not all of one", "a text"),
    ];
    for (content, expected, why) in cases {
        assert_eq!(Countries::from_bytes(content).unwrap_err().to_string(), expected, "{why}");
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let folder = std::env::temp_dir();
    assert!(matches!(Countries::read(&folder), Err(CountriesError::NoFile)));
    let missing = folder.join("weir-there-is-no-such-file.mmdb");
    assert!(matches!(Countries::read(&missing), Err(CountriesError::Unreadable(_))));
    let long = folder.join(format!("weir-long-{}.mmdb", std::process::id()));
    // Sparse: it takes no room.
    File::create(&long).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
    let refused = Countries::read(&long);
    std::fs::remove_file(&long).unwrap();
    assert!(matches!(refused, Err(CountriesError::TooLong)));
}
