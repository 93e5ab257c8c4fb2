//! What are the addresses of a name, and for how long?
//!
//! The hosts file first, then the name servers of the system, with the TTL that they state. Both
//! files are looked at again whenever something is asked, so that a container whose files change
//! under it follows. Where the configuration names no server that can be asked, the system's own
//! resolver answers, which states no TTL. Who asks when, and what is kept, is decided in
//! [`super::addresses`].

use std::error::Error as StdError;
use std::fs::Metadata;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hickory_resolver::config::{LookupIpStrategy, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup_ip::LookupIp;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, TokioResolver};
use parking_lot::Mutex;

/// Addresses kept of one name.
const ADDRESSES_MAX: usize = 16;
/// How long an entry of the hosts file holds: the file is in memory and says no time.
const HOSTS_TTL: Duration = Duration::from_secs(2);
/// How long an answer of the system's own resolver holds.
const SYSTEM_TTL: Duration = Duration::from_secs(10);
/// Bytes of a configuration file that are read.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why a name has no addresses. Shared, because all who wait for one lookup get it.
pub(super) type LookupError = Arc<dyn StdError + Send + Sync>;

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Never empty, families in turn, at most 16.
    pub(super) addresses: Vec<IpAddr>,
    /// For how long they hold.
    pub(super) ttl: Duration,
}

/// The node's way to addresses.
#[derive(Debug)]
pub(super) struct Resolver {
    hosts: PathBuf,
    servers: Servers,
    state: Mutex<Files>,
}

/// Who is asked beside the hosts file.
#[derive(Debug)]
enum Servers {
    /// Those in this file.
    File(PathBuf),
    /// These.
    #[cfg(test)]
    Fixed(Box<TokioResolver>),
}

/// The files as last read.
#[derive(Debug, Default, Clone)]
struct Files {
    hosts: Arc<Hosts>,
    hosts_stamp: Option<Stamp>,
    servers: Option<TokioResolver>,
    servers_stamp: Option<Stamp>,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self { modified: file.modified().ok(), bytes: file.len() }
    }
}

#[cfg(test)]
impl Resolver {
    /// Asks the name server at `port` of this machine, and no file.
    pub(super) fn asking(port: u16) -> Self {
        use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
        let mut connection = ConnectionConfig::udp();
        connection.port = port;
        let server =
            NameServerConfig::new(std::net::Ipv4Addr::LOCALHOST.into(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut options = ResolverOpts::default();
        options.timeout = Duration::from_millis(200);
        options.attempts = 1;
        Self {
            hosts: PathBuf::from("/nonexistent/hosts"),
            servers: Servers::Fixed(Box::new(build((config, options)).unwrap())),
            state: Mutex::default(),
        }
    }
}

impl Resolver {
    /// The way of this machine. Reads nothing yet.
    pub(super) fn system() -> Self {
        Self {
            hosts: PathBuf::from("/etc/hosts"),
            servers: Servers::File(PathBuf::from("/etc/resolv.conf")),
            state: Mutex::default(),
        }
    }

    /// Asks for the addresses of `name`.
    ///
    /// # Errors
    ///
    /// What the last one asked said. Takes as long as the name servers do; the caller bounds that.
    pub(super) async fn lookup(self: &Arc<Self>, name: &str) -> Result<Found, LookupError> {
        let this = Arc::clone(self);
        // Two small files, but on who knows what file system.
        let files = tokio::task::spawn_blocking(move || this.files()).await.map_err(shared)?;
        let from_hosts = in_hosts(&files.hosts, name);
        if !from_hosts.is_empty() {
            return Ok(Found { addresses: in_turn(from_hosts), ttl: HOSTS_TTL });
        }
        match files.servers {
            Some(servers) => found(&servers.lookup_ip(name).await.map_err(shared)?),
            None => by_system(name).await,
        }
    }

    /// Both files, read again where they have changed. Blocks.
    fn files(&self) -> Files {
        let mut files = self.state.lock().clone();
        let stamp = std::fs::metadata(&self.hosts).ok().map(|file| Stamp::of(&file));
        if stamp != files.hosts_stamp {
            let mut hosts = Hosts::default();
            // A file with bytes that are no text counts as far as it was read.
            drop(read(&self.hosts).map(|bytes| hosts.read_hosts_conf(bytes.as_slice())));
            (files.hosts, files.hosts_stamp) = (Arc::new(hosts), stamp);
        }
        match &self.servers {
            Servers::File(path) => {
                let stamp = std::fs::metadata(path).ok().map(|file| Stamp::of(&file));
                if stamp != files.servers_stamp {
                    (files.servers, files.servers_stamp) = (servers_in(path), stamp);
                }
            }
            #[cfg(test)]
            Servers::Fixed(servers) => files.servers = Some(TokioResolver::clone(servers)),
        }
        *self.state.lock() = files.clone();
        files
    }
}

fn shared(error: impl StdError + Send + Sync + 'static) -> LookupError {
    Arc::new(error)
}

fn read(path: &PathBuf) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The servers that the file at `path` names; `None` where it names none.
fn servers_in(path: &PathBuf) -> Option<TokioResolver> {
    let built = read(path).map_err(NetError::from).and_then(parse_resolv_conf).and_then(build);
    match built {
        Ok(servers) => Some(servers),
        Err(error) => {
            let (path, error) = (path.display(), crate::telemetry::chain(&error));
            tracing::warn!(%path, %error, "names no server that can be asked: the system resolves names");
            None
        }
    }
}

fn build((config, mut options): (ResolverConfig, ResolverOpts)) -> Result<TokioResolver, NetError> {
    // Each upstream keeps what it found, and asks again when it doubts it.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    let provider = TokioRuntimeProvider::default();
    TokioResolver::builder_with_config(config, provider).with_options(options).build()
}

fn in_hosts(hosts: &Hosts, name: &str) -> Vec<IpAddr> {
    let Ok(name) = Name::from_utf8(name) else { return Vec::new() };
    [RecordType::AAAA, RecordType::A]
        .into_iter()
        .filter_map(|kind| hosts.lookup_static_host(&Query::query(name.clone(), kind)))
        .flat_map(|lookup| {
            lookup.answers().iter().filter_map(|r| r.data.ip_addr()).collect::<Vec<_>>()
        })
        .collect()
}

fn found(lookup: &LookupIp) -> Result<Found, LookupError> {
    let addresses = in_turn(lookup.iter().collect());
    let ttl = lookup.valid_until().saturating_duration_since(std::time::Instant::now());
    some(addresses, ttl)
}

async fn by_system(name: &str) -> Result<Found, LookupError> {
    let sockets = tokio::net::lookup_host((name, 0)).await.map_err(shared)?;
    some(in_turn(sockets.map(|socket| socket.ip()).collect()), SYSTEM_TTL)
}

fn some(addresses: Vec<IpAddr>, ttl: Duration) -> Result<Found, LookupError> {
    if addresses.is_empty() {
        return Err(shared(std::io::Error::other("the name has no address")));
    }
    Ok(Found { addresses, ttl })
}

/// The addresses with their families in turn (RFC 8305 §4), each once, IPv6 first.
fn in_turn(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut ordered = Vec::new();
    while ordered.len() < ADDRESSES_MAX {
        let next = [six.next(), four.next()];
        if next == [None, None] {
            break;
        }
        for address in next.into_iter().flatten() {
            if !ordered.contains(&address) {
                ordered.push(address);
            }
        }
    }
    ordered.truncate(ADDRESSES_MAX);
    ordered
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns_and_no_name_has_too_many_addresses() {
        // (found, ordered)
        let cases: &[(&[&str], &[&str])] = &[
            (&[], &[]),
            (&["1.1.1.1"], &["1.1.1.1"]),
            (&["1.1.1.1", "2.2.2.2", "::1"], &["::1", "1.1.1.1", "2.2.2.2"]),
            (&["::1", "::2", "1.1.1.1", "::1"], &["::1", "1.1.1.1", "::2"]),
        ];
        for (found, ordered) in cases {
            let found = found.iter().map(|text| ip(text)).collect();
            let ordered: Vec<_> = ordered.iter().map(|text| ip(text)).collect();
            assert_eq!(in_turn(found), ordered);
        }
        let many = (0..200).map(|last| Ipv4Addr::new(10, 0, 0, last).into()).collect();
        assert_eq!(in_turn(many).len(), ADDRESSES_MAX);
    }

    #[tokio::test]
    async fn the_hosts_file_comes_first_and_its_changes_are_noticed() {
        let folder = std::env::temp_dir().join(format!("weir-hosts-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let hosts = folder.join("hosts");
        let resolver = Arc::new(Resolver {
            hosts: hosts.clone(),
            servers: Servers::File(folder.join("none")),
            state: Mutex::default(),
        });
        for (text, expected) in [
            ("10.0.0.1 origin.test # a\n", vec![ip("10.0.0.1")]),
            (
                "10.0.0.22 x Origin.TEST\n::9 origin.test\nnonsense\n",
                vec![ip("::9"), ip("10.0.0.22")],
            ),
        ] {
            std::fs::write(&hosts, text).unwrap();
            let found = resolver.lookup("origin.test").await.unwrap();
            assert_eq!(found, Found { addresses: expected, ttl: HOSTS_TTL });
        }
        std::fs::remove_dir_all(folder).unwrap();
        // Without servers in a file the system is asked.
        let found = resolver.lookup("127.0.0.7").await.unwrap();
        assert_eq!(found, Found { addresses: vec![ip("127.0.0.7")], ttl: SYSTEM_TTL });
    }
}

/// Name servers for tests.
#[cfg(test)]
pub(super) mod fake;
