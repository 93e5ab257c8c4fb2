//! Where requests of an HTTP/1 connection begin and end.
//!
//! The reader of the node takes bytes as they come. Here a second one looks at the whole stream at once, line by line
//! and chunk by chunk, as RFC 9112 §6 and §7 say it; both must find the same requests, and the first fault in the same one.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "the node reads from it how far a head is")]
#[path = "../../node/src/listener/framing/mod.rs"]
mod framing;

use framing::{Framing, Notice};

/// How a stream ends for whoever reads all of it.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// After so many requests.
    Between(u64),
    /// Amid something.
    Within,
    /// At a fault of this request.
    Fault(u64),
    /// At a wish for another protocol in this request.
    Upgrade(u64),
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, stream)) = data.split_first() else { return };
    let whole = ended(stream, stream.len().max(1));
    assert_eq!(whole, ended(stream, usize::from(size).max(1)), "in pieces");
    // What the reader gives up on by its own bounds is not looked for here.
    if stream.len() < 4_096 {
        assert_eq!(whole, naive(stream), "{:?}", String::from_utf8_lossy(stream));
    }
});

/// What the reader of the node says.
fn ended(stream: &[u8], size: usize) -> End {
    let mut framing = Framing::new();
    for piece in stream.chunks(size) {
        match framing.read(piece) {
            None => {}
            Some(Notice::BadHead(number, _) | Notice::BadBody(number, _)) => {
                return End::Fault(number);
            }
            Some(Notice::Upgrade(number)) => return End::Upgrade(number),
        }
    }
    if framing.is_in_head() {
        return End::Within;
    }
    // Between two requests a letter begins another, and a line without CR is a fault of it.
    framing.read(b"G");
    match framing.is_in_head().then(|| framing.read(b"\n")) {
        Some(Some(Notice::BadHead(number, _))) => End::Between(number - 1),
        _ => End::Within,
    }
}

/// The same, said another way.
fn naive(mut rest: &[u8]) -> End {
    let mut whole = 0;
    loop {
        while let Some(after) = rest.strip_prefix(b"\r\n") {
            rest = after;
        }
        if rest.is_empty() {
            return End::Between(whole);
        }
        let number = whole + 1;
        let mut lines = Vec::new();
        // Lines up to the empty one.
        loop {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return End::Within };
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            let Some(line) = line.strip_suffix(b"\r") else { return End::Fault(number) };
            if line.is_empty() {
                break;
            }
            lines.push(line);
            if is_faulty(&lines) {
                return End::Fault(number);
            }
        }
        let fields = fields(&lines);
        if fields.iter().any(|(name, _)| name == "content-length")
            && fields.iter().any(|(name, _)| name == "transfer-encoding")
        {
            return End::Fault(number);
        }
        if lines[0].starts_with(b"CONNECT ") || fields.iter().any(|(name, _)| name == "upgrade") {
            return End::Upgrade(number);
        }
        let length = fields.iter().find(|(name, _)| name == "content-length");
        if let Some((_, value)) = length {
            let length = std::str::from_utf8(value).unwrap().parse::<u64>().unwrap();
            if length > rest.len() as u64 {
                return End::Within;
            }
            rest = &rest[usize::try_from(length).unwrap()..];
        } else if fields.iter().any(|(name, _)| name == "transfer-encoding") {
            match chunks(rest) {
                Ok(Some(after)) => rest = after,
                Ok(None) => return End::Within,
                Err(()) => return End::Fault(number),
            }
        }
        whole += 1;
    }
}

fn fields(lines: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
    let split = |line: &&[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = String::from_utf8(line[..colon].to_ascii_lowercase()).ok()?;
        let value = String::from_utf8_lossy(&line[colon + 1..]).into_owned();
        let value = value.trim_matches([' ', '\t']);
        Some((name, value.as_bytes().to_vec()))
    };
    lines.iter().skip(1).filter_map(split).collect()
}

/// Whether the lines so far have a fault of their own.
fn is_faulty(lines: &[&[u8]]) -> bool {
    let fields = fields(lines);
    let values = |wanted: &str| {
        fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value).collect::<Vec<_>>()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    let is_length = |value: &&Vec<u8>| {
        let text = std::str::from_utf8(value).unwrap_or("x");
        !text.is_empty()
            && text.chars().all(|digit| digit.is_ascii_digit())
            && text.parse::<u64>().is_ok_and(|length| length <= i64::MAX.unsigned_abs())
    };
    lines[0].contains(&b'#')
        || lengths.len() > 1
        || !lengths.iter().all(is_length)
        || codings.len() > 1
        || !codings.iter().all(|coding| coding.eq_ignore_ascii_case(b"chunked"))
}

/// What follows a body in chunks; `None` where it does not end.
fn chunks(mut rest: &[u8]) -> Result<Option<&[u8]>, ()> {
    loop {
        // The first byte that cannot be decides, before the line has ended.
        let end = rest.iter().position(|byte| *byte == b'\r' || *byte == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&line[..digits]).unwrap();
        let size_value = u64::from_str_radix(if size.is_empty() { "0" } else { size }, 16);
        let fits = digits <= 16
            && size_value.as_ref().is_ok_and(|value| *value <= i64::MAX.unsigned_abs());
        let (blanks, extension) = line[digits..].split_at(
            line[digits..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count(),
        );
        let extension_fits = (extension.is_empty() || extension[0] == b';')
            && extension.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
        if (digits == 0 && (!line.is_empty() || end.is_some())) || !fits || !extension_fits {
            return Err(());
        }
        let Some(end) = end else { return Ok(None) };
        if !blanks.is_empty() && extension.is_empty() {
            return Err(());
        }
        rest = match newline(&rest[end..])? {
            Some(after) => after,
            None => return Ok(None),
        };
        let size = usize::try_from(size_value.unwrap()).unwrap();
        if size == 0 {
            return trailers(rest);
        }
        if rest.len() < size {
            return Ok(None);
        }
        rest = match newline(&rest[size..])? {
            Some(after) => after,
            None => return Ok(None),
        };
    }
}

fn trailers(mut rest: &[u8]) -> Result<Option<&[u8]>, ()> {
    loop {
        let end = rest.iter().position(|byte| *byte == b'\r' || *byte == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'))
            || !line.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
        {
            return Err(());
        }
        let Some(end) = end else { return Ok(None) };
        rest = match newline(&rest[end..])? {
            Some(after) => after,
            None => return Ok(None),
        };
        if line.is_empty() {
            return Ok(Some(rest));
        }
    }
}

/// What follows CRLF; `None` where it has not come.
fn newline(rest: &[u8]) -> Result<Option<&[u8]>, ()> {
    match rest {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', after @ ..] => Ok(Some(after)),
        _ => Err(()),
    }
}
