//! Does the reader find the end of a response, however its bytes come, and refuse what is none?

use proptest::prelude::*;

use super::*;

type Seen = Result<Option<Answer>, Broken>;

#[expect(clippy::fn_params_excessive_bools, reason = "rows of tables")]
/// Feeds `pieces`, then the end of the connection if `ends`.
fn read(pieces: &[&[u8]], without_body: bool, ends: bool) -> Seen {
    let mut reader = Reader::new();
    reader.begin(without_body);
    let mut found = None;
    let mut surplus = false;
    for piece in pieces {
        if found.is_some() {
            surplus |= !piece.is_empty();
        } else {
            found = reader.feed(piece)?;
        }
    }
    match found {
        Some(answer) => Ok(Some(Answer { reusable: answer.reusable && !surplus, ..answer })),
        None if ends => reader.end().map(Some),
        None => Ok(None),
    }
}

fn plain(status: u16, body_bytes: u64, reusable: bool) -> Seen {
    Ok(Some(Answer { status, outcome: CacheOutcome::Unsaid, body_bytes, reusable }))
}

#[test]
fn the_end_of_a_response_is_found() {
    let table: &[(&str, bool, Seen)] = &[
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, plain(200, 3, true)),
        ("HTTP/1.1 200\r\ncontent-length:0\r\n\r\n", false, plain(200, 0, true)),
        ("HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", false, plain(200, 3, true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", false, plain(200, 3, false)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, plain(200, 0, true)),
        ("HTTP/1.1 304 X\r\nContent-Length: 3\r\n\r\n", false, plain(304, 0, true)),
        ("HTTP/1.1 204 X\r\n\r\n", false, plain(204, 0, true)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", false, plain(200, 1, false)),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
            false,
            plain(200, 1, true),
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\na",
            false,
            plain(200, 1, false),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
            false,
            plain(200, 13, true),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n",
            false,
            plain(200, 1, true),
        ),
        (
            "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
            false,
            plain(200, 1, true),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            false,
            plain(200, 3, true),
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false, Ok(None)),
        ("HTTP/1.1 200 OK\r\n\r\nab", false, Ok(None)),
    ];
    for (text, without_body, expected) in table {
        assert_eq!(read(&[text.as_bytes()], *without_body, false), *expected, "{text:?}");
    }
}

#[test]
fn what_is_no_response_is_refused() {
    let table = [
        ("HTTP/2 200 OK\r\n\r\n", Broken::StatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", Broken::StatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", Broken::StatusLine),
        ("HTTP/1.1 099 OK\r\n\r\n", Broken::StatusLine),
        ("HTTP/1.1 600 OK\r\n\r\n", Broken::StatusLine),
        ("\r\n\r\n", Broken::StatusLine),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", Broken::Field),
        ("HTTP/1.1 200 OK\r\n: nameless\r\n\r\n", Broken::Field),
        ("HTTP/1.1 200 OK\r\nA: b\r\n folded: c\r\n\r\n", Broken::Field),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Broken::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", Broken::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Broken::Length),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            Broken::TwoFramings,
        ),
        ("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", Broken::Switched),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", Broken::Chunk),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", Broken::Chunk),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", Broken::Chunk),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
            Broken::Chunk,
        ),
    ];
    for (text, expected) in table {
        assert_eq!(read(&[text.as_bytes()], false, false), Err(expected), "{text:?}");
    }
}

#[test]
fn the_end_of_the_connection_ends_only_what_it_may_end() {
    let table: &[(&str, Seen)] = &[
        ("HTTP/1.1 200 OK\r\n\r\nabc", plain(200, 3, false)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", plain(200, 3, false)),
        ("", Err(Broken::EndInHead)),
        ("HTTP/1.1 200 OK\r\n", Err(Broken::EndInHead)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", Err(Broken::EndInBody)),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            Err(Broken::EndInBody),
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", Err(Broken::EndInBody)),
    ];
    for (text, expected) in table {
        assert_eq!(read(&[text.as_bytes()], false, true), *expected, "{text:?}");
    }
}

#[test]
fn endless_heads_interims_chunk_lines_and_trailers_are_refused() {
    let many = |text: &str| text.repeat(HEAD_MAX / text.len() + 1);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let table = [
        ("x".repeat(HEAD_MAX + 1), Broken::HeadTooLong),
        (format!("HTTP/1.1 200 OK\r\n{}", many("A: b\r\n")), Broken::HeadTooLong),
        (many("HTTP/1.1 100 C\r\n\r\n"), Broken::HeadTooLong),
        (format!("{chunked}1;{}", "x".repeat(CHUNK_LINE_MAX)), Broken::Chunk),
        (format!("{chunked}0\r\n{}", many("A: b\r\n")), Broken::HeadTooLong),
    ];
    for (text, expected) in table {
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(1_000).collect();
        assert_eq!(read(&pieces, false, false), Err(expected));
    }
}

#[test]
fn many_small_chunks_are_no_endless_head() {
    let mut text = String::from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    text += &"1\r\na\r\n".repeat(100_000);
    text += "0\r\n\r\n";
    assert_eq!(read(&[text.as_bytes()], false, false), plain(200, 100_000, true));
}

#[test]
fn x_cache_counts_before_cache_status() {
    let read = |fields: &str| {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}\r\n");
        read(&[text.as_bytes()], false, false).unwrap().unwrap().outcome
    };
    assert_eq!(read("Cache-Status: a; hit\r\nX-Cache: MISS\r\n"), CacheOutcome::Miss);
    assert_eq!(read("X-Cache: ?\r\nCache-Status: a; hit\r\n"), CacheOutcome::Hit);
    assert_eq!(read("Cache-Status: a; fwd=miss\r\nCache-Status: b; hit\r\n"), CacheOutcome::Hit);
    assert_eq!(read(""), CacheOutcome::Unsaid);
}

/// Responses, some of them bent, and bytes that are none.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"HTTP/1.1 200 OK\r\n"[..]),
        Just(&b"HTTP/1.1 100 C\r\n\r\n"[..]),
        Just(&b"HTTP/1.0 304 N\n"[..]),
        Just(&b"Content-Length: 4\r\n"[..]),
        Just(&b"Transfer-Encoding: chunked\r\n"[..]),
        Just(&b"Connection: close\r\n"[..]),
        Just(&b"Cache-Status: a; hit\r\n"[..]),
        Just(&b"X-Cache: STALE\r\n"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"4\r\nabcd\r\n"[..]),
        Just(&b"0\r\n"[..]),
        Just(&b"abcd"[..]),
        Just(&b"\xff:"[..]),
    ];
    let framed = (0_usize..40, any::<bool>()).prop_map(|(length, chunked)| {
        let body = "b".repeat(length);
        if chunked {
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n{}",
                if length == 0 { "" } else { "0\r\n\r\n" }
            )
        } else {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
        }
        .into_bytes()
    });
    prop_oneof![
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
        framed,
        proptest::collection::vec(any::<u8>(), 0..60),
    ]
}

proptest! {
    #[test]
    fn how_bytes_are_cut_changes_nothing(
        bytes in bytes(),
        cuts in proptest::collection::vec(0_usize..200, 0..6),
        without_body in any::<bool>(),
        ends in any::<bool>(),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        let whole = read(&[&bytes], without_body, ends);
        prop_assert_eq!(read(&pieces, without_body, ends), whole);
        prop_assert_eq!(read(&each, without_body, ends), whole);
    }
}
