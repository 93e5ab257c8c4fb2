use super::*;
use crate::replay::{Outcome, Run};

fn report() -> Report {
    let series =
        |name: &str| Series { name: name.to_owned(), points: vec![(1.0, 0.2), (1e9, 0.9)] };
    let chart = |axis| Chart {
        title: "a & b".to_owned(),
        axis,
        axis_title: "x".to_owned(),
        series: vec![series("one"), series("<two>")],
    };
    Report {
        title: "log <script>alert(1)</script>\u{1b}[2J".to_owned(),
        answer: vec!["so much".to_owned()],
        warnings: vec!["too small \"here\"".to_owned()],
        tables: vec![Table {
            title: "T".to_owned(),
            head: vec!["name".to_owned(), "n".to_owned()],
            rows: vec![
                vec!["a<b".to_owned(), "1".to_owned()],
                vec!["c".to_owned(), "1,000".to_owned()],
            ],
        }],
        charts: vec![chart(Axis::Time), chart(Axis::Bytes)],
        notes: vec!["note".to_owned()],
    }
}

#[test]
fn a_table_stands_in_columns() {
    let text = report().to_text();
    assert!(text.contains("name      n\na<b       1\nc     1,000\n"), "{text}");
    assert!(text.contains("warning: too small"), "{text}");
    assert!(!text.contains('\u{1b}'), "nothing drives the terminal");
}

#[test]
fn a_page_holds_everything_and_nothing_that_a_log_could_run() {
    let page = report().to_html();
    assert!(page.contains("log &lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(!page.contains("<script") && !page.contains('\u{1b}'));
    assert!(
        page.contains("a&lt;b")
            && page.contains("&lt;two&gt;")
            && page.contains("&quot;here&quot;")
    );
    assert_eq!(page.matches("<svg").count(), 2);
    for outside in ["src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside} would fetch something");
    }
    assert!(page.contains("prefers-color-scheme:dark"));
}

#[test]
fn plots_are_whole_documents() {
    let svg = report().to_svg();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    let file = report().to_png().unwrap();
    let mut reader = ::png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    assert_eq!((reader.info().width, reader.info().height), (1_800, 1_600));
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    let inked = pixels.iter().filter(|byte| **byte != 0xff).count();
    assert!(inked > 10_000, "{inked} bytes are not white");
}

#[test]
fn charts_without_points_are_drawn_all_the_same() {
    let chart = Chart {
        title: String::new(),
        axis: Axis::Bytes,
        axis_title: String::new(),
        series: vec![Series { name: "none".to_owned(), points: Vec::new() }],
    };
    let report = Report { charts: vec![chart], ..Report::default() };
    assert!(!report.to_svg().contains("NaN"));
    assert!(report.to_png().is_ok() && Report::default().to_png().is_ok());
}

#[test]
fn round_trips_add_up_to_where_the_answer_was() {
    let mut run = Run::default();
    run.depths[Outcome::HitFresh.index()][1] = 90;
    run.depths[Outcome::Miss.index()][2] = 6;
    run.depths[Outcome::Miss.index()][3] = 4;
    let links: Links = "20:5:80".parse().unwrap();
    assert_eq!(links.check(2), Ok(()));
    assert_eq!(links.check(3), Err(LatencyError::WrongCount { expected: 4, given: 3 }));
    let latencies = links.latencies(&run);
    let told: Vec<_> = latencies.iter().map(|l| (l.outcome, l.requests, l.percentiles)).collect();
    assert_eq!(
        told,
        [
            (Some(Outcome::HitFresh), 90, [20.0; 4]),
            (Some(Outcome::Miss), 10, [25.0, 105.0, 105.0, 105.0]),
            (None, 100, [20.0, 25.0, 105.0, 105.0]),
        ]
    );
    assert!((latencies[2].mean - (90.0 * 20.0 + 6.0 * 25.0 + 4.0 * 105.0) / 100.0).abs() < 1e-9);
    for bad in ["", "a", "1:-2", "1:inf", "1,2"] {
        assert_eq!(bad.parse::<Links>(), Err(LatencyError::NotNumbers), "{bad}");
    }
}
