//! Signed URLs and cookies of every format that shares secrets: what is sent, and what was signed and then changed.
//!
//! Lines: the format, the second after signing, two targets of a line of authority and a line of path and query
//! each, the client that is signed and the one that asks, a folder, and what is changed of what was signed (see
//! `edited`); then the fields of a request.
//!
//! Nobody without the secret is let in. So what is granted is what was signed, however it is written: the same path,
//! host and query where the format covers them, in time, from the same client.

#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, header::COOKIE};
use libfuzzer_sys::fuzz_target;
use weir_access::Grant;
use weir_cache::{Scheme, Target};
use weir_fuzz::ways::{SIGNED, UNTIL, Way, Wish, ways};
use weir_fuzz::{Asked, Input, address, edited, fields, wild};

static WAYS: LazyLock<Vec<Way>> = LazyLock::new(ways);

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let way = &WAYS[usize::try_from(input.number(WAYS.len() as u64)).expect("small")];
    let now = SIGNED - 60 + i64::try_from(input.number(4_000)).expect("small");
    let targets = [(input.text(), input.text()), (input.text(), input.text())];
    let (client, asker) = (address(&input.text()), address(&input.text()));
    let folder = input.text();
    let recipe = input.line();
    input.line();
    let headers = fields(input.rest());
    let [Some(target), other] = targets.map(|(authority, rest)| parse(&authority, &rest)) else {
        return;
    };
    // The names of no format can be told from the secret, so that nothing that is made up is right.
    let asked = Asked { target: &target, headers: &headers, client: asker, now };
    assert!(way.signature.verify(asked.request(), asked.moment()).is_err(), "made up");

    let folder = Some(folder.as_str()).filter(|folder| !folder.is_empty());
    let wish = Wish { target: &target, client, folder };
    check_url(way, &wish, recipe, &Asked { ..asked });
    if let Some((name, sign)) = &way.cookie
        && let Ok(proof) = sign(&wish)
        && let Some(changed) = edited(&proof, recipe)
    {
        let mut with_cookie = headers.clone();
        if let Ok(line) = HeaderValue::from_str(&format!("{name}={changed}")) {
            with_cookie.append(COOKIE, line);
        }
        let target = other.as_ref().unwrap_or(&target);
        let asked = Asked { target, headers: &with_cookie, client: asker, now };
        if let Ok(grant) = way.signature.verify(asked.request(), asked.moment()) {
            check_grant(way, &wish, &grant, &asked);
        }
    }
});

fn parse(authority: &str, rest: &str) -> Option<Target> {
    let default = || Target::parse(Scheme::Http, "example.com", rest);
    Target::parse(Scheme::Http, authority, rest).or_else(|_| default()).ok()
}

/// Signs a URL, asks for it as it is, and for what becomes of it.
fn check_url(way: &Way, wish: &Wish<'_>, recipe: &[u8], asked: &Asked<'_>) {
    let Ok(url) = (way.url)(wish) else { return };
    let whole: Target = url.parse().expect("a signed URL is a URL");
    let none = HeaderMap::new();
    let plain = Asked { target: &whole, headers: &none, client: wish.client, now: SIGNED };
    match way.signature.verify(plain.request(), plain.moment()) {
        Ok(grant) => check_grant(way, wish, &grant, &plain),
        // A parameter of the format in the query, in an escape, cannot be told from a second one; and Akamai's
        // patterns are signed for whatever path.
        Err(refusal) => {
            let patterns = wish.folder.is_some() && !way.whole;
            assert!(patterns || wish.target.query().is_some(), "{url}: {refusal}");
        }
    }
    let Some(Ok(changed)) = edited(&url, recipe).map(|url| url.parse::<Target>()) else { return };
    let asked = Asked { target: &changed, ..*asked };
    if let Ok(grant) = way.signature.verify(asked.request(), asked.moment()) {
        check_grant(way, wish, &grant, &asked);
    }
}

/// What was granted is what was signed, and nothing of the proof is left.
fn check_grant(way: &Way, wish: &Wish<'_>, grant: &Grant, asked: &Asked<'_>) {
    let (signed, granted) = (wish.target, grant.target());
    assert!(asked.now <= UNTIL, "too late");
    assert_eq!(grant.expires().map(|time| time.as_secs()), Some(UNTIL));
    assert_eq!(grant.key_id(), "k1");
    assert!(
        !way.bound || asked.client.to_canonical() == wish.client.to_canonical(),
        "another client"
    );
    let folder = wish.folder.filter(|_| way.cookie.is_some());
    match folder {
        None => assert_eq!(granted.path(), signed.path()),
        Some(folder) => assert!(covers(way, folder, granted.path()), "{folder}: {granted}"),
    }
    if way.whole {
        assert_eq!(granted.host_without_port(), signed.host_without_port());
    }
    if way.whole && folder.is_none() {
        // Parameters of the format were not signed with it.
        let own = |part: &&str| !grant.strip().parameters.iter().any(|name| is_named(part, name));
        let query: Vec<_> = signed.query().unwrap_or_default().split('&').filter(own).collect();
        assert_eq!(granted.query().unwrap_or_default(), query.join("&"));
    }
    check_stripped(way, grant, asked);
}

fn is_named(parameter: &str, name: &str) -> bool {
    parameter.split('=').next() == Some(name)
}

/// A folder has what a careless server finds in it, too; Akamai's patterns have whatever fits.
fn covers(way: &Way, folder: &str, path: &str) -> bool {
    if way.whole {
        let inside = resolved(path).is_some_and(|path| path.starts_with(&resolved_folder(folder)));
        return path.starts_with(folder) && inside;
    }
    wild(format!("{folder}*").as_bytes(), path.as_bytes()) || wild(b"/?/", path.as_bytes())
}

fn resolved_folder(folder: &str) -> Vec<u8> {
    let mut folder = resolved(folder).expect("a folder that was signed can be resolved");
    if folder.last() != Some(&b'/') {
        folder.push(b'/');
    }
    folder
}

/// The path as a server has it that decodes it first, drops parameters of segments, and then removes dots.
fn resolved(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = (*first == b'%').then(|| std::str::from_utf8(tail.get(..2)?).ok()).flatten();
        let byte = escape.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if byte.is_some() { &tail[2..] } else { tail };
        bytes.push(byte.unwrap_or(*first));
    }
    let mut stack: Vec<&[u8]> = Vec::new();
    for segment in bytes.split(|byte| matches!(byte, b'/' | b'\\')).skip(1) {
        match segment.split(|byte| *byte == b';').next().unwrap_or_default() {
            b".." => drop(stack.pop()?),
            b"." => {}
            _ => stack.push(segment),
        }
    }
    Some([b"/", stack.join(&b'/').as_slice()].concat())
}

/// Asked again for what was granted, with what is left of the fields, nobody is let in.
fn check_stripped(way: &Way, grant: &Grant, asked: &Asked<'_>) {
    let mut headers = asked.headers.clone();
    grant.strip().strip_headers(&mut headers);
    let again =
        Asked { target: grant.target(), headers: &headers, client: asked.client, now: asked.now };
    let refused = way.signature.verify(again.request(), again.moment());
    assert!(refused.is_err(), "the proof is still there: {}", grant.target());
}
