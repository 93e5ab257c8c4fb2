use std::io::{Cursor, Write};

use proptest::prelude::*;

use super::*;

/// Reads all of `text`: the requests and what could not be read.
fn read(text: impl Into<Vec<u8>>, format: Option<Format>) -> (Vec<Record>, BadLines, Format) {
    let mut reader =
        TraceReader::of_reader("log", Cursor::new(text.into()), format, "www.test").unwrap();
    let mut records = Vec::new();
    let mut record = Record::default();
    while reader.next_into(&mut record).unwrap() {
        records.push(record.clone());
    }
    (records, reader.bad_lines().clone(), reader.format())
}

fn record(at_ms: i64, client: &str, (host, path): (&str, &str), status: u16, bytes: u64) -> Record {
    let [client, host, path] = [client, host, path].map(str::to_owned);
    let method = "GET".to_owned();
    Record { at_ms, client, method, host, path, status, bytes: Some(bytes), ..Record::default() }
}

#[test]
fn columns_are_read_with_and_without_their_names() {
    let rows = "5\tc1\tGET\ta.test\t/x?y=1\t200\t10\n6\tc2\tHEAD\ta.test\t/z\t404\t-\n";
    let named = format!("ts_ms\tclient\tmethod\thost\tpath\tstatus\tsize\n{rows}");
    for text in [rows, named.as_str()] {
        let (records, bad, format) = read(text, None);
        let second = Record {
            bytes: None,
            method: "HEAD".to_owned(),
            ..record(6, "c2", ("a.test", "/z"), 404, 0)
        };
        assert_eq!(records, [record(5, "c1", ("a.test", "/x?y=1"), 200, 10), second]);
        assert_eq!((bad.count, format), (0, Format::Tsv));
    }
}

#[test]
fn columns_may_come_in_another_order_and_say_more() {
    let text = "ts_ms\tx\tpath\thost\tclient\tmethod\tstatus\tcache_control\tsize\tobserved\n\
                1\t?\t/p\th.test\tc\tGET\t200\tmax-age=9\t3\thit\n\
                2\t?\t/p\th.test\tc\tGET\t200\t-\t3\tmiss\n";
    let (records, bad, _) = read(text, None);
    assert_eq!(bad.count, 0);
    let said: Vec<_> =
        records.iter().map(|r| (r.cache_control.as_deref(), r.observed_hit)).collect();
    assert_eq!(said, [(Some("max-age=9"), Some(true)), (Some(""), Some(false))]);
    assert_eq!((records[0].path.as_str(), records[0].client.as_str()), ("/p", "c"));
}

#[test]
fn a_combined_log_is_read_with_its_host_wherever_that_is() {
    const DATE: &str = "[10/Oct/2000:13:55:36 +0000]";
    // (line, host, client, path, why)
    let cases = [
        (
            format!(r#"1.2.3.4 - - {DATE} "GET /a HTTP/1.1" 200 12 "-" "x""#),
            "www.test",
            "/a",
            "none",
        ),
        (
            format!(r#"b.test 1.2.3.4 - me {DATE} "GET /a HTTP/1.1" 200 12"#),
            "b.test",
            "/a",
            "first",
        ),
        (
            format!(
                r#"1.2.3.4 - - {DATE} "GET /a?\x22b\" HTTP/1.1" 200 12 "r \" r" "a" "c.test" 0.1"#
            ),
            "c.test",
            "/a?\"b\"",
            "last, and escapes",
        ),
        (
            format!(r#"1.2.3.4 - - {DATE} "GET http://d.test HTTP/1.1" 200 12 "-" "-" "10.0.0.1""#),
            "d.test",
            "/",
            "in the target; an address behind is none",
        ),
    ];
    for (line, host, path, why) in cases {
        let (records, bad, format) = read(line.as_bytes(), None);
        assert_eq!(bad, BadLines::default(), "{why}");
        assert_eq!(records, [record(971_186_136_000, "1.2.3.4", (host, path), 200, 12)], "{why}");
        assert_eq!(format, Format::Combined, "{why}");
    }
}

#[test]
fn a_log_of_cloudfront_is_read_by_the_names_of_its_columns() {
    let text = "#Version: 1.0\n\
        #Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs-uri-query \
        x-edge-result-type x-host-header cs-protocol\n\
        2019-12-04\t21:02:31\tLAX1\t392\t192.0.2.100\tGET\td1.cloudfront.net\t/index.html\t200\tv=1\tHit\twww.b.test\thttps\n\
        2019-12-04\t21:02:31\tLAX1\t-\t192.0.2.100\tGET\td1.cloudfront.net\t/x\t200\t-\tMiss\t-\thttp\n\
        2019-12-04\t21:02:31\tLAX1\n";
    let (records, bad, format) = read(text, None);
    let first = Record {
        scheme: Scheme::Https,
        observed_hit: Some(true),
        ..record(1_575_493_351_000, "192.0.2.100", ("www.b.test", "/index.html?v=1"), 200, 392)
    };
    let second = Record {
        bytes: None,
        observed_hit: Some(false),
        ..record(1_575_493_351_000, "192.0.2.100", ("d1.cloudfront.net", "/x"), 200, 0)
    };
    assert_eq!(records, [first, second]);
    assert_eq!((bad.count, bad.first[0].0, format), (1, 5, Format::CloudFront));
}

#[test]
fn a_log_of_weir_is_read_without_its_other_events() {
    let line = r#"{"timestamp":"2024-02-29T12:30:15.25Z","level":"INFO","site":"www","method":"GET","target_uri":"\"https://a.test/x?a=\\\"\"","status":200,"cache":"hit","fwd":"","peer":"1.2.3.4","request_id":"\"q\"","bytes":7,"head_us":1,"total_us":2,"target":"weir::access"}"#;
    let other = r#"{"timestamp":"2024-02-29T12:30:15.25Z","level":"INFO","message":"ready","target":"weir_node::run"}"#;
    let denied = line.replace("\"status\"", "\"denied\":\"expired\",\"status\"");
    let (records, bad, format) = read(format!("{other}\n{line}\n{denied}\nnoise\n"), None);
    let expected = Record {
        scheme: Scheme::Https,
        observed_hit: Some(true),
        ..record(1_709_209_815_250, "1.2.3.4", ("a.test", "/x?a=\""), 200, 7)
    };
    assert_eq!(records, [expected]);
    assert_eq!((bad.count, bad.first[0].0, format), (1, 4, Format::Weir));
}

#[test]
fn gzip_is_told_by_its_first_bytes_and_may_have_several_members() {
    let pack = |text: &str| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    };
    let packed = [pack("1\tc\tGET\ta.test\t/\t200\t1\n"), pack("2\tc\tGET\ta.test\t/\t200\t1\n")];
    let (records, bad, _) = read(packed.concat(), None);
    assert_eq!((records.len(), bad.count), (2, 0));
}

#[test]
fn a_damaged_archive_is_an_error_after_what_could_be_read() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for at in 0..50_000 {
        writeln!(packer, "{at}\tc\tGET\ta.test\t/{at}\t200\t1").unwrap();
    }
    let mut packed = packer.finish().unwrap();
    packed.truncate(packed.len() / 2);
    let mut reader = TraceReader::of_reader("log", Cursor::new(packed), None, "www.test").unwrap();
    let mut record = Record::default();
    let mut count = 0;
    let error = loop {
        match reader.next_into(&mut record) {
            Ok(true) => count += 1,
            Ok(false) => panic!("a cut archive looks whole"),
            Err(error) => break error,
        }
    };
    assert!(count > 1_000, "{count}");
    assert_eq!(error.to_string(), "log cannot be read");
}

#[test]
fn lines_that_cannot_be_read_are_counted_and_the_first_ones_named() {
    let mut text = "1\tc\tGET\ta.test\t/\t200\t1\n".to_owned();
    text.push_str(&"x\n".repeat(7));
    text.push_str(&format!("{}\n", "y".repeat(LINE_BYTES_MAX + 1)));
    text.push_str("2\tc\tGET\ta.test\t/\t200\t1");
    let (records, bad, _) = read(text, None);
    assert_eq!((records.len(), bad.count), (2, 8));
    let numbers: Vec<_> = bad.first.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6]);
}

#[test]
fn a_log_without_lines_or_form_is_refused() {
    let open = |text: &'static str| {
        TraceReader::of_reader("f", Cursor::new(text), None, "h")
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(open(""), "f is empty");
    assert_eq!(open("\n\n"), "f is empty");
    let unknown = open("hello\n");
    assert!(unknown.contains("--format") && unknown.contains("cloudfront"), "{unknown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is in a log, it is read to its end without a panic, and each line is one of three things.
    #[test]
    fn no_log_panics(bytes in proptest::collection::vec(any::<u8>(), 1..400), form in 0_usize..4) {
        let format = Format::ALL[form];
        if let Ok(mut reader) = TraceReader::of_reader("f", Cursor::new(bytes), Some(format), "h") {
            let mut record = Record::default();
            while matches!(reader.next_into(&mut record), Ok(true)) {}
        }
    }

    /// The same for lines that are nearly right.
    #[test]
    fn no_line_that_is_nearly_right_panics(
        at in 0_usize..400, with in "[\\PC\t\"\\\\\\[\\] é]{0,4}", form in 0_usize..4,
    ) {
        const LINES: [&str; 4] = [
            "1\tc\tGET\ta.test\t/\t200\t1\tmax-age=1\thit",
            r#"{"timestamp":"2024-02-29T12:30:15.25Z","method":"GET","target_uri":"\"http://a/x\"","status":200,"cache":"hit","peer":"1.2.3.4","bytes":7,"target":"weir::access"}"#,
            r#"1.2.3.4 - - [10/Oct/2000:13:55:36 +0000] "GET /a\x22 HTTP/1.1" 200 12 "r" "a" "c.test""#,
            "#Fields: date time c-ip cs-method cs(Host) cs-uri-stem sc-status\n2019-12-04\t21:02:31\t1\tGET\ta\t/\t200",
        ];
        let mut line = LINES[form].to_owned();
        let at = (0..=at.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.insert_str(at, &with);
        let (records, bad, _) = read(line, Some(Format::ALL[form]));
        prop_assert!(records.len() <= 2 && bad.count <= 3);
    }

    /// What is written as columns is read as it was.
    #[test]
    fn columns_give_back_what_was_written(
        at in any::<i64>(), client in "[a-z0-9.:]{1,9}", path in "/[!-~]{0,20}", status in 100_u16..600,
        bytes in proptest::option::of(any::<u64>()),
    ) {
        let size = bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let line = format!("{at}\t{client}\tGET\ta.test\t{path}\t{status}\t{size}");
        let (records, bad, _) = read(line, None);
        prop_assert_eq!(bad.count, 0);
        prop_assert_eq!(records, vec![Record { bytes, ..record(at, &client, ("a.test", &path), status, 0) }]);
    }
}
