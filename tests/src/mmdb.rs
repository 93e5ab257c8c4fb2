//! Writes small files in the MaxMind DB format, which nobody may hand out large ones of.
//!
//! Of the format (version 2.0) it knows what databases of countries use: a binary search tree with records of
//! 24, 28 or 32 bits, maps, texts, numbers, and pointers. Included by other crates' tests as a file, so that it
//! needs nothing but std.

use std::net::IpAddr;

/// What a database holds for one network.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// `country.iso_code` and nothing else.
    Country(&'a str),
    /// A country behind a pointer, after what databases of cities have before it.
    City(&'a str),
    /// No country, as in databases of networks' owners.
    Owner(&'a str),
    /// These bytes, whatever they are.
    Raw(&'a [u8]),
}

/// A database to be.
#[derive(Clone, Copy, Debug)]
pub struct Mmdb<'a> {
    /// Addresses in the tree: 4, or 6 with those of IPv4 under `::/96`.
    pub ip_version: u16,
    /// Bits of a record of the tree: 24, 28 or 32.
    pub record_bits: u16,
    /// What the database calls itself.
    pub kind: &'a str,
}

#[derive(Clone, Copy, PartialEq)]
enum Child {
    Empty,
    Node(usize),
    /// Offset in the data section.
    Data(usize),
}

impl Mmdb<'_> {
    /// A database of countries for both kinds of addresses, as most are.
    pub const COUNTRIES: Self = Self { ip_version: 6, record_bits: 24, kind: "Weir-Test-Country" };

    /// When every database says that it was made, in seconds since 1970.
    pub const BUILT: u32 = 1_781_524_800;

    /// Writes `networks` as a file. A network inside another stands after it.
    pub fn write(&self, networks: &[(&str, Record<'_>)]) -> Vec<u8> {
        let (mut nodes, mut data) = (vec![[Child::Empty; 2]], Vec::new());
        for (network, record) in networks {
            let (address, prefix) = network.split_once('/').expect("a network has a prefix");
            let bits = self.bits(address.parse().unwrap(), prefix.parse().unwrap());
            let at = Child::Data(put_record(&mut data, *record));
            insert(&mut nodes, &bits, at);
        }
        let mut file = Vec::new();
        for [left, right] in &nodes {
            self.put_node(&mut file, [*left, *right].map(|child| value(child, nodes.len())));
        }
        file.extend([0; 16]);
        file.extend(data);
        file.extend(b"\xab\xcd\xefMaxMind.com");
        self.put_metadata(&mut file, nodes.len());
        file
    }

    /// The bits of a network, from the root of the tree.
    fn bits(&self, address: IpAddr, prefix: usize) -> Vec<bool> {
        let (value, prefix) = match address {
            IpAddr::V4(v4) if self.ip_version == 4 => (u128::from(u32::from(v4)) << 96, prefix),
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), 96 + prefix),
            IpAddr::V6(v6) => (u128::from(v6), prefix),
        };
        (0..prefix).map(|bit| value >> (127 - bit) & 1 == 1).collect()
    }

    fn put_node(&self, file: &mut Vec<u8>, [left, right]: [u32; 2]) {
        let ([l0, l1, l2, l3], [r0, r1, r2, r3]) = (left.to_be_bytes(), right.to_be_bytes());
        match self.record_bits {
            24 => file.extend([l1, l2, l3, r1, r2, r3]),
            28 => file.extend([l1, l2, l3, l0 << 4 | r0, r1, r2, r3]),
            32 => file.extend([l0, l1, l2, l3, r0, r1, r2, r3]),
            bits => panic!("records have 24, 28 or 32 bits, not {bits}"),
        }
    }

    fn put_metadata(&self, file: &mut Vec<u8>, nodes: usize) {
        put_map(file, 9);
        for (key, value) in [
            ("binary_format_major_version", 2),
            ("binary_format_minor_version", 0),
            ("ip_version", self.ip_version),
            ("record_size", self.record_bits),
        ] {
            put_text(file, key);
            file.push(0b101 << 5 | 2);
            file.extend(value.to_be_bytes());
        }
        put_text(file, "node_count");
        put_u32(file, u32::try_from(nodes).unwrap());
        put_text(file, "build_epoch");
        // A number of 64 bits, which may leave out zeros in front.
        file.extend([4, 2]);
        file.extend(Self::BUILT.to_be_bytes());
        put_text(file, "database_type");
        put_text(file, self.kind);
        put_text(file, "languages");
        file.extend([1, 4]);
        put_text(file, "en");
        put_text(file, "description");
        put_map(file, 0);
    }
}

fn insert(nodes: &mut Vec<[Child; 2]>, bits: &[bool], at: Child) {
    let Some((last, path)) = bits.split_last() else { panic!("a network has a prefix") };
    let mut node = 0;
    for bit in path {
        let child = nodes[node][usize::from(*bit)];
        node = match child {
            Child::Node(below) => below,
            // What was said of the network around holds for its other parts.
            Child::Empty | Child::Data(_) => {
                nodes.push([child, child]);
                let below = nodes.len() - 1;
                nodes[node][usize::from(*bit)] = Child::Node(below);
                below
            }
        };
    }
    nodes[node][usize::from(*last)] = at;
}

fn value(child: Child, nodes: usize) -> u32 {
    let value = match child {
        Child::Empty => nodes,
        Child::Node(node) => node,
        Child::Data(at) => nodes + 16 + at,
    };
    u32::try_from(value).unwrap()
}

/// Appends a record; returns where it begins.
fn put_record(data: &mut Vec<u8>, record: Record<'_>) -> usize {
    let mut begin = data.len();
    match record {
        Record::Country(code) => {
            put_map(data, 1);
            put_text(data, "country");
            put_country(data, code);
        }
        Record::City(code) => {
            put_country(data, code);
            let country = u32::try_from(begin).unwrap();
            begin = data.len();
            put_map(data, 2);
            put_text(data, "city");
            put_map(data, 1);
            put_text(data, "geoname_id");
            put_u32(data, 2_950_159);
            put_text(data, "country");
            data.push(0b0011_1000); // Four bytes of offset follow.
            data.extend(country.to_be_bytes());
        }
        Record::Owner(name) => {
            put_map(data, 1);
            put_text(data, "autonomous_system_organization");
            put_text(data, name);
        }
        Record::Raw(bytes) => data.extend(bytes),
    }
    begin
}

fn put_country(data: &mut Vec<u8>, code: &str) {
    put_map(data, 2);
    put_text(data, "geoname_id");
    put_u32(data, 2_921_044);
    put_text(data, "iso_code");
    put_text(data, code);
}

fn put_map(data: &mut Vec<u8>, entries: u8) {
    data.push(0b111 << 5 | entries);
}

fn put_u32(data: &mut Vec<u8>, value: u32) {
    data.push(0b110 << 5 | 4);
    data.extend(value.to_be_bytes());
}

fn put_text(data: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()).unwrap() {
        short @ 0..29 => data.push(0b010 << 5 | short),
        long => data.extend([0b010 << 5 | 29, long - 29]),
    }
    data.extend(text.as_bytes());
}
