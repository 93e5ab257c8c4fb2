//! A name server on loopback that knows one name, for as long as it is told to.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::UdpSocket;

/// What it answers and what it was asked.
#[derive(Debug, Default)]
struct Told {
    /// `None`: it says that it has failed.
    addresses: Option<Vec<Ipv4Addr>>,
    ttl: u32,
    asked: u32,
}

/// The name server; it ends when it is dropped.
pub(crate) struct NameServer {
    told: Arc<Mutex<Told>>,
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl NameServer {
    /// Starts one that answers with `addresses` and `ttl` seconds.
    pub(crate) async fn start(addresses: &[Ipv4Addr], ttl: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let told =
            Arc::new(Mutex::new(Told { addresses: Some(addresses.to_vec()), ttl, asked: 0 }));
        let task = tokio::spawn(serve(socket, Arc::clone(&told)));
        Self { told, port, task }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Has it answer otherwise from now on.
    pub(crate) fn say(&self, addresses: Option<&[Ipv4Addr]>) {
        self.told.lock().addresses = addresses.map(<[_]>::to_vec);
    }

    /// Questions for IPv4 addresses so far.
    pub(crate) fn asked(&self) -> u32 {
        self.told.lock().asked
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The addresses as the resolver has them.
pub(crate) fn known(addresses: &[Ipv4Addr]) -> Vec<IpAddr> {
    addresses.iter().map(|address| IpAddr::V4(*address)).collect()
}

async fn serve(socket: UdpSocket, told: Arc<Mutex<Told>>) {
    let mut query = [0; 1024];
    loop {
        let (bytes, from) = socket.recv_from(&mut query).await.unwrap();
        let answer = answer(&query[..bytes], &mut told.lock());
        socket.send_to(&answer, from).await.unwrap();
    }
}

/// RFC 1035 §4: the header, the question as it came, and A records that point to its name.
fn answer(query: &[u8], told: &mut Told) -> Vec<u8> {
    const A: u8 = 1;
    let labels_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap();
    let question = &query[12..labels_end + 5];
    let is_a = query[labels_end + 2] == A;
    told.asked += u32::from(is_a);
    let failed = told.addresses.is_none();
    let addresses = told.addresses.iter().flatten().filter(|_| is_a);
    let records: Vec<_> = addresses
        .flat_map(|address| {
            let mut record = vec![0xc0, 12, 0, A, 0, 1];
            record.extend(told.ttl.to_be_bytes());
            record.extend([0, 4]);
            record.extend(address.octets());
            record
        })
        .collect();
    let count = u8::try_from(records.len() / 16).unwrap();
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, if failed { 0x82 } else { 0x80 }, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(question);
    answer.extend(records);
    answer
}
