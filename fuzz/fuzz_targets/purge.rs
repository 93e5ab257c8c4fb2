//! Purges: what somebody names, what a response is, its tags, and positions that nodes tell each other.
//!
//! Lines: a name, a host with path and query, a position; then the fields of a response.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_cache::purge::{
    AsOf, Entry, Epoch, Ledger, Mode, Selector, Standing, Subject, TAG_FIELDS, Tagged, Tags,
    UrlGlob,
};
use weir_fuzz::{Input, fields};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (name, resource, position) = (input.text(), input.text(), input.text());
    let headers = fields(input.rest());
    let tags = Tags::of(&headers);
    let subject = Subject { resource: &resource, tags: Tagged::Known(&tags) };

    for selector in read(&name) {
        assert_eq!(
            selector.to_string().parse::<Selector>().as_ref(),
            Ok(&selector),
            "written back"
        );
        let matched = matches(&selector, subject);
        if let Selector::Glob(glob) = &selector {
            check_glob(glob, &resource, matched);
        }
    }
    check_own_names(&resource, &tags, subject);
    if let Ok(as_of) = position.parse::<AsOf>() {
        assert_eq!(as_of.to_string().parse::<AsOf>(), Ok(as_of));
    }
    let mut stripped = headers;
    for name in &TAG_FIELDS {
        stripped.remove(name);
    }
    assert_eq!(Tags::of(&stripped), Tags::default(), "no tag is left");
});

/// Every selector that a name can be read as.
fn read(name: &str) -> Vec<Selector> {
    let read = [
        name.parse(),
        Selector::host(name),
        Selector::prefix(name),
        Selector::tag(name),
        name.parse::<UrlGlob>().map(Selector::Glob),
    ];
    read.into_iter().flatten().collect()
}

/// Whether a purge of `selector` overtakes a response from before it; one that reflects it is never.
fn matches(selector: &Selector, subject: Subject<'_>) -> bool {
    let mut ledger = Ledger::new();
    ledger.join(AsOf { epoch: Epoch::new(1), seq: 0 });
    let before = ledger.applied();
    let entry = Entry { mode: Mode::Purge, selectors: vec![selector.clone()] };
    let by = ledger.apply(1, &entry).expect("the first entry follows");
    assert_eq!(ledger.judge(subject, by), Standing::Clear, "reflected");
    ledger.judge(subject, before) != Standing::Clear
}

/// What a response is called itself always matches it.
fn check_own_names(resource: &str, tags: &Tags, subject: Subject<'_>) {
    assert!(matches(&Selector::Everything, subject));
    assert!(matches(&Selector::Url(resource.into()), subject));
    let (host, path) = resource.split_at(resource.find('/').unwrap_or(resource.len()));
    assert!(matches(&Selector::Host(host.into()), subject));
    for (end, _) in path.char_indices() {
        let prefix = Selector::Prefix { host: host.into(), path: path[..end].into() };
        assert!(matches(&prefix, subject), "{prefix}");
    }
    for tag in tags.iter() {
        assert!(matches(&Selector::Tag(tag.into()), subject), "{tag}");
    }
    let stranger = Selector::Tag("a tag that no response has".into());
    let known = tags.iter().any(|tag| tag == "a tag that no response has");
    assert_eq!(matches(&stranger, subject), known || tags.is_overflowing());
}

/// A second way to match: by the pieces between the stars, each as early as it can be.
fn check_glob(glob: &UrlGlob, resource: &str, matched: bool) {
    let text = glob.to_string();
    let (host, path) = text.split_at(text.find('/').expect("a glob has a path"));
    let (own_host, own_path) = resource.split_at(resource.find('/').unwrap_or(resource.len()));
    let expected = by_pieces(host, own_host) && by_pieces(path, own_path);
    assert_eq!(matched, expected, "{text} on {resource}");
}

fn by_pieces(pattern: &str, text: &str) -> bool {
    let pieces: Vec<&str> = pattern.split('*').collect();
    let [first, middle @ .., last] = pieces.as_slice() else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for piece in middle {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
