//! Every way to sign a URL with a shared secret, with what it covers.

use std::net::IpAddr;
use std::time::Duration;

use weir_access::{
    EdgeAuth, EdgeScope, EdgeTerms, Format, Key, KeyRing, Scope, Secret, SecureLink, SignError,
    Signature, Terms, TimeForm, TypeA, TypeB, TypeC, TypeD, Weir,
};
use weir_cache::{Target, UnixTime};

/// When everything is signed: a full minute, because type B knows no seconds.
pub const SIGNED: i64 = 1_700_000_040;
/// The last second at which it is right.
pub const UNTIL: i64 = SIGNED + 1_800;
const VALIDITY: Duration = Duration::from_secs(1_800);

/// What is signed.
pub struct Wish<'a> {
    /// What for.
    pub target: &'a Target,
    /// For which client; formats that know none leave it out.
    pub client: IpAddr,
    /// A folder in place of the target, for formats that know folders.
    pub folder: Option<&'a str>,
}

type Sign = Box<dyn Fn(&Wish<'_>) -> Result<String, SignError> + Send + Sync>;

/// One way to sign.
pub struct Way {
    /// How it is checked.
    pub signature: Signature,
    /// Signs, as a URL.
    pub url: Sign,
    /// Signs, as the value of a cookie; what has none signs as a URL.
    pub cookie: Option<(&'static str, Sign)>,
    /// Host and query are signed too, unless it is a folder that is.
    pub whole: bool,
    /// Only the client that was signed may come.
    pub bound: bool,
}

/// All of them.
pub fn ways() -> Vec<Way> {
    let mut ways = vec![weir(), edge_auth(None, false), edge_auth(Some("pepper"), true)];
    for (name, form) in [("auth_key", TimeForm::Decimal), ("sign", TimeForm::Hex)] {
        let a = TypeA::new(name, form, VALIDITY);
        let sign = a.clone();
        ways.push(way(Format::TypeA(a), move |wish, key| sign.sign(key, wish.target, at(), "r4")));
        let d = TypeD::new(["sign", "t"], form, VALIDITY);
        let sign = d.clone();
        ways.push(way(Format::TypeD(d), move |wish, key| sign.sign(key, wish.target, at())));
    }
    let (b, c) = (TypeB::new(VALIDITY), TypeC::new(VALIDITY));
    let (sign_b, sign_c) = (b.clone(), c.clone());
    ways.push(way(Format::TypeB(b), move |wish, key| sign_b.sign(key, wish.target, at())));
    ways.push(way(Format::TypeC(c), move |wish, key| sign_c.sign(key, wish.target, at())));
    ways.push(secure_link("$secure_link_expires$uri$remote_addr $secret", true));
    ways.push(secure_link("${secret}:$scheme://$host$path:$expires", false));
    ways
}

fn at() -> UnixTime {
    UnixTime::from_secs(SIGNED)
}

fn until() -> UnixTime {
    UnixTime::from_secs(UNTIL)
}

fn key(id: &str, secret: &[u8]) -> Key {
    Key::new(id, Secret::new(secret).expect("not empty")).expect("a good id")
}

fn live() -> Key {
    key("k1", b"52a152a152a152a1")
}

fn way(
    format: Format,
    sign: impl Fn(&Wish<'_>, &Key) -> Result<String, SignError> + Send + Sync + 'static,
) -> Way {
    let (old, new) = (key("k0", b"0ld0ld0ld0ld0ld0"), key("k2", b"newnewnewnewnew0"));
    let keys = KeyRing::new(vec![old, live(), new]).expect("few keys");
    let signature = Signature::Shared(format, keys);
    let key = live();
    let url: Sign = Box::new(move |wish| sign(wish, &key));
    Way { signature, url, cookie: None, whole: false, bound: false }
}

fn weir() -> Way {
    let terms = |wish: &Wish<'_>| {
        let scope = wish.folder.map_or(Scope::Exact, |folder| Scope::Prefix(folder.to_owned()));
        let client = Some(wish.client.to_canonical().into());
        Terms { expires: until(), not_before: Some(at()), client, scope }
    };
    let key = live();
    let cookie: Sign =
        Box::new(move |wish| Weir::new().sign_cookie(&key, wish.target, &terms(wish)));
    let url = way(Format::Weir(Weir::new()), move |wish, key| {
        Weir::new().sign(key, wish.target, &terms(wish))
    });
    Way { whole: true, bound: true, cookie: Some((weir_access::COOKIE, cookie)), ..url }
}

fn edge_auth(salt: Option<&str>, escape_early: bool) -> Way {
    let salt = salt.map(|salt| Secret::new(salt.as_bytes()).expect("not empty"));
    let format = EdgeAuth::new("hdnts", salt, escape_early).expect("a name");
    let terms = |wish: &Wish<'_>| {
        let patterns = |folder: &str| EdgeScope::Acl(vec![format!("{folder}*"), "/?/".to_owned()]);
        let scope = wish.folder.map_or(EdgeScope::Url, patterns);
        EdgeTerms { expires: until(), start: Some(at()), client: Some(wish.client), scope }
    };
    let (one, other, key) = (format.clone(), format.clone(), live());
    let cookie: Sign = Box::new(move |wish| one.sign_token(&key, wish.target, &terms(wish)));
    let url =
        way(Format::EdgeAuth(format), move |wish, key| other.sign(key, wish.target, &terms(wish)));
    Way { bound: true, cookie: Some(("hdnts", cookie)), ..url }
}

fn secure_link(expression: &str, bound: bool) -> Way {
    let format = SecureLink::new(expression.parse().expect("an expression"), ["md5", "expires"]);
    let sign = format.clone();
    let url = way(Format::SecureLink(format), move |wish, key| {
        let client = wish.client.to_canonical().to_string();
        sign.sign(key, wish.target, until(), &client)
    });
    Way { bound, ..url }
}
