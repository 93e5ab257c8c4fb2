//! Streams of bytes and what is read in them, whole and cut at every byte.

use super::*;

const HEAD: &str = "POST /a HTTP/1.1\r\nHost: a.test\r\n";

/// What is noticed when `bytes` come in pieces of `size`.
fn read_in(bytes: &[u8], size: usize) -> (Option<Notice>, Framing) {
    let mut framing = Framing::new();
    for piece in bytes.chunks(size) {
        let notice = framing.read(piece);
        if notice.is_some() {
            return (notice, framing);
        }
    }
    (None, framing)
}

/// The same whatever the pieces.
fn read(bytes: &[u8]) -> (Option<Notice>, Framing) {
    let whole = read_in(bytes, bytes.len().max(1));
    for size in [1, 2, 3, 7] {
        let cut = read_in(bytes, size);
        assert_eq!(cut.0, whole.0, "in pieces of {size}: {}", String::from_utf8_lossy(bytes));
        assert_eq!(cut.1.begun, whole.1.begun, "in pieces of {size}");
    }
    whole
}

fn fault(fields: &str, body: &str) -> Option<Fault> {
    let text = format!("{HEAD}{fields}\r\n{body}");
    match read(text.as_bytes()).0 {
        Some(Notice::BadHead(1, fault) | Notice::BadBody(1, fault)) => Some(fault),
        None => None,
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn requests_that_follow_each_other_are_told_apart() {
    let cases = [
        ("", "", 1),
        ("Content-Length: 5\r\n", "hello", 1),
        ("Content-Length: 0\r\n", "", 1),
        ("content-length:\t5 \r\n", "a\r\n\r\n", 1),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n", 1),
        (
            "Transfer-Encoding: Chunked\r\n",
            "5\r\nhello\r\nA;x=\"y z\"\r\n0123456789\r\n0\r\n\r\n",
            1,
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            "0000000000000005 ; x\r\nhello\r\n0;a\r\nx: y\r\nz: 1\r\n\r\n",
            1,
        ),
        ("Content-Lengths: 5\r\nX-Transfer-Encoding: chunked\r\n", "", 1),
        ("", "\r\n\r\n", 1),
    ];
    for (fields, body, count) in cases {
        let one = format!("{HEAD}{fields}\r\n{body}");
        let (notice, framing) = read(format!("{one}{one}{HEAD}\r\n").as_bytes());
        assert_eq!(notice, None, "{one}");
        assert_eq!(framing.begun, 2 * count + 1, "{one}");
        assert!(!framing.is_in_head());
    }
}

#[test]
fn lengths_that_can_be_read_in_two_ways_are_faults() {
    let lengths = [
        "",
        "+5",
        "-5",
        "0x5",
        "5,5",
        "5, 5",
        "1_0",
        "5 5",
        "\"5\"",
        "5;",
        "18446744073709551616",
        "9223372036854775808",
        "\x0b5",
        "5\x0c",
        "5\0",
        "\u{a0}5",
        "５",
        "1e1",
        "5.",
    ];
    for length in lengths {
        let found = fault(&format!("Content-Length: {length}\r\n"), "");
        assert!(matches!(found, Some(Fault::Ambiguous(_))), "{length:?}: {found:?}");
    }
    let twice = "Content-Length: 5\r\nContent-Length: 5\r\n";
    assert!(fault(twice, "hello").is_some(), "two lines that agree");
    assert_eq!(fault("Content-Length: 9223372036854775807\r\n", "x"), None);
}

#[test]
fn only_chunked_is_a_coding() {
    let other = Fault::UnknownCoding;
    for coding in ["gzip, chunked", "deflate,chunked", "GZIP , Chunked"] {
        assert_eq!(fault(&format!("Transfer-Encoding: {coding}\r\n"), ""), Some(other), "{coding}");
    }
    let obscure = [
        "",
        "x",
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "identity",
        "identity, chunked",
        "chunked, chunked",
        ", chunked",
        "chunked,",
        "chunked;q=1",
        "\"chunked\"",
        "'chunked'",
        "\x0bchunked",
        "chunked\0",
        "ch\u{a0}unked",
        "gzip",
        "chunked, gzip",
        "gzip chunked",
        "\u{212a}",
    ];
    for coding in obscure {
        let found = fault(&format!("Transfer-Encoding: {coding}\r\n"), "");
        assert!(matches!(found, Some(Fault::Ambiguous(_))), "{coding:?}: {found:?}");
    }
    let twice = "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n";
    assert!(matches!(fault(twice, ""), Some(Fault::Ambiguous(_))));
}

#[test]
fn a_length_beside_chunks_is_a_fault_in_either_order() {
    let (length, chunks) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for fields in [format!("{length}{chunks}"), format!("{chunks}X: y\r\n{length}")] {
        assert!(matches!(fault(&fields, "0\r\n\r\n"), Some(Fault::Ambiguous(_))), "{fields}");
    }
}

#[test]
fn lines_end_in_crlf() {
    let streams = [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for stream in streams {
        let notice = read(stream.as_bytes()).0;
        assert!(matches!(notice, Some(Notice::BadHead(1, Fault::Ambiguous(_)))), "{stream:?}");
    }
}

/// The faults that count the requests before them.
#[test]
fn a_fault_names_its_request() {
    let stream = format!("{HEAD}\r\n{HEAD}Content-Length: 1\r\n\r\nx\r\nGET /#x HTTP/1.1\r\n");
    assert!(matches!(read(stream.as_bytes()).0, Some(Notice::BadHead(3, _))));
}

/// Nobody else sees to the time that the rest of it takes.
#[test]
fn a_head_with_a_fault_stays_under_way() {
    for stream in ["GET / HTTP/1.1\n", "GET /#x HTTP/1.1\r\n"] {
        let (notice, framing) = read(stream.as_bytes());
        assert!(matches!(notice, Some(Notice::BadHead(1, _))), "{stream:?}");
        assert!(framing.is_in_head(), "{stream:?}");
    }
}

#[test]
fn chunks_that_can_be_read_in_two_ways_are_faults() {
    let extension = format!("0;{}\r\n\r\n", "x".repeat(17_000));
    let trailer = format!("0\r\nx: {}\r\n\r\n", "y".repeat(70_000));
    let bodies = [
        "\r\n",
        "x\r\n",
        "0x1\r\na\r\n",
        "+1\r\na\r\n",
        "-1\r\na\r\n",
        " 1\r\na\r\n",
        "1 \r\na\r\n",
        "1\t\r\na\r\n",
        "1\na\r\n",
        "1\r\na\n",
        "1\r\nab\r\n",
        "1\r\na\r\r",
        "1\rXa\r\n",
        "8000000000000000\r\n",
        "FFFFFFFFFFFFFFED\r\n",
        "00000000000000000\r\n\r\n",
        "1;a\nb\r\na\r\n",
        "1;a\0\r\na\r\n",
        "1;a\rb\r\n",
        "1_0\r\n",
        "1,\r\na\r\n",
        "0\r\n\n",
        "0\r\nx: y\n\r\n",
        "0\r\n x: y\r\n\r\n",
        "0\r\nx: a\0\r\n\r\n",
        "0\r\n\rX",
        &extension,
        &trailer,
    ];
    for body in bodies {
        let found = fault("Transfer-Encoding: chunked\r\n", body);
        assert!(matches!(found, Some(Fault::Ambiguous(_))), "{body:?}: {found:?}");
    }
}

#[test]
fn what_follows_a_wish_for_another_protocol_is_not_read() {
    let fields =
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x01\n\n";
    for stream in [fields, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n\x01\n\n"] {
        assert_eq!(read(stream.as_bytes()).0, Some(Notice::Upgrade(1)), "{stream}");
        let mut framing = Framing::new();
        framing.read(stream.as_bytes());
        assert_eq!(framing.read(b"\n"), None);
    }
}

#[test]
fn a_head_is_under_way_from_its_first_byte_to_its_last() {
    let mut framing = Framing::new();
    let mut read = |text: &str| {
        assert_eq!(framing.read(text.as_bytes()), None);
        framing.is_in_head()
    };
    assert!(!read(""));
    assert!(read("G"));
    assert!(read("ET / HTTP/1.1\r\nHost: a\r\n"));
    assert!(read("Content-Length: 3\r\n\r"));
    assert!(!read("\n"));
    assert!(!read("GET"), "a body that looks like a head is none");
    assert!(read("GET"));
}
