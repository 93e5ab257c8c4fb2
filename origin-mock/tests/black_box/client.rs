//! A small raw client: sends what it is told and reports what came, broken or not.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const DEADLINE: Duration = Duration::from_secs(10);

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    incoming: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) interim: Vec<(u16, Fields)>,
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
    /// The connection ended before or at the end of the body.
    pub(crate) end: Option<End>,
}

#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.0.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of the only line of that name; empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} is there {} times", values.len());
        values.first().copied().unwrap_or_default()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.0.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort();
        names
    }

    fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let pairs = lines.map(|line| line.split_once(": ").expect("a field line"));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl Response {
    pub(crate) fn get(&self, name: &str) -> &str {
        self.fields.get(name)
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a body of text")
    }
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("the origin listens");
        Self { stream, incoming: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = timeout(DEADLINE, self.stream.write_all(bytes.as_ref())).await;
        sent.expect("the origin reads in time").expect("the connection is open");
    }

    /// Sends a request without body.
    pub(crate) async fn ask(&mut self, method: &str, target: &str, fields: &str) {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n")).await;
    }

    pub(crate) async fn get(&mut self, target: &str) -> Response {
        self.get_with(target, "").await
    }

    /// Gets with further field lines, each with its CRLF.
    pub(crate) async fn get_with(&mut self, target: &str, fields: &str) -> Response {
        self.ask("GET", target, fields).await;
        self.read().await
    }

    pub(crate) async fn post(&mut self, target: &str, body: &[u8]) -> Response {
        self.ask("POST", target, &format!("Content-Length: {}\r\n", body.len())).await;
        self.send(body).await;
        self.read().await
    }

    /// Reads the answer to a HEAD.
    pub(crate) async fn read_head_only(&mut self) -> Response {
        let mut response = Response::default();
        self.read_head(&mut response).await;
        response
    }

    /// Reads one whole answer, or what there is of it.
    pub(crate) async fn read(&mut self) -> Response {
        let mut response = Response::default();
        self.read_head(&mut response).await;
        if response.end.is_some() || matches!(response.status, 204 | 304) {
            return response;
        }
        if response.get("Transfer-Encoding") == "chunked" {
            response.end = self.read_chunks(&mut response).await.err();
            return response;
        }
        let length = response.get("Content-Length");
        let length = if length.is_empty() { u64::MAX } else { length.parse().expect("a number") };
        response.end = self.take_up_to(length, &mut response.body).await.err();
        response
    }

    async fn read_head(&mut self, response: &mut Response) {
        loop {
            let head = match self.take_until("\r\n\r\n").await {
                Ok(head) => head,
                Err(end) => {
                    response.end = Some(end);
                    return;
                }
            };
            let mut lines = head.lines().filter(|line| !line.is_empty());
            let first = lines.next().expect("a status line");
            let status = first.split(' ').nth(1).expect("a status").parse().expect("a number");
            let fields = Fields::parse(lines);
            if matches!(status, 100..=199) {
                response.interim.push((status, fields));
                continue;
            }
            (response.status, response.fields) = (status, fields);
            return;
        }
    }

    async fn read_chunks(&mut self, response: &mut Response) -> Result<(), End> {
        loop {
            let size = self.take_until("\r\n").await?;
            let size = u64::from_str_radix(size.trim(), 16).expect("a chunk size");
            if size == 0 {
                break;
            }
            self.take_up_to(size, &mut response.body).await?;
            assert_eq!(self.take_until("\r\n").await?, "\r\n", "end of chunk");
        }
        let mut lines = Vec::new();
        loop {
            let line = self.take_until("\r\n").await?;
            if line == "\r\n" {
                break;
            }
            lines.push(line);
        }
        response.trailers = Fields::parse(lines.iter().map(|line| line.trim_end()));
        Ok(())
    }

    async fn take_until(&mut self, mark: &str) -> Result<String, End> {
        loop {
            let found = self.incoming.windows(mark.len()).position(|at| at == mark.as_bytes());
            if let Some(start) = found {
                let taken = self.incoming.drain(..start + mark.len()).collect();
                return Ok(String::from_utf8(taken).expect("text"));
            }
            self.read_more().await?;
        }
    }

    async fn take_up_to(&mut self, length: u64, out: &mut Vec<u8>) -> Result<(), End> {
        let mut left = length;
        while left > 0 {
            if self.incoming.is_empty() {
                self.read_more().await?;
            }
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.incoming.len());
            out.extend(self.incoming.drain(..take));
            left -= take as u64;
        }
        Ok(())
    }

    async fn read_more(&mut self) -> Result<(), End> {
        let read = timeout(DEADLINE, self.stream.read_buf(&mut self.incoming)).await;
        match read.expect("the origin answers in time") {
            Ok(0) => Err(End::Closed),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(End::Reset),
            Err(error) => panic!("unexpected: {error}"),
        }
    }

    /// Reads to the end and says how it came; bytes read on the way stay in `rest`.
    pub(crate) async fn end(&mut self) -> End {
        loop {
            if let Err(end) = self.read_more().await {
                return end;
            }
        }
    }

    /// Reads exactly so many bytes.
    pub(crate) async fn bytes(&mut self, length: u64) -> Vec<u8> {
        let mut out = Vec::new();
        self.take_up_to(length, &mut out).await.expect("so many bytes");
        out
    }

    /// Everything up to the end, with the end.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, End) {
        let end = self.end().await;
        (std::mem::take(&mut self.incoming), end)
    }
}
