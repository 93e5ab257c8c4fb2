//! What the tokens of the admin API come to, and what is wrong with them.

use super::problems::assert_problems;
use super::*;
use crate::admin_tokens::{AdminToken, Scope};

/// A text of more than 16 characters that Cargo sets wherever tests run, and another.
const SECRET: &str = "env:CARGO_PKG_DESCRIPTION";
const OTHER: &str = "env:CARGO_PKG_LICENSE";

#[test]
fn every_key_of_a_token_is_read() {
    let text = format!(
        "[admin]\naudit_file = '/a.jsonl'\n\
         [[admin.token]]\nname = 'ci'\nscopes = ['purge']\nsecret = '{SECRET}'\n\
         [[admin.token]]\nname = 'all'\nscopes = ['read', 'push', 'admin']\nsecret = '{OTHER}'\n"
    );
    let config = read(&text).unwrap().admin_api;
    assert_eq!(config.audit_file, Some("/a.jsonl".into()));
    let [ci, all] = config.tokens.as_slice() else { panic!("{config:?}") };
    assert_eq!((ci.name.as_str(), ci.scopes.as_slice()), ("ci", [Scope::Purge].as_slice()));
    assert_eq!(all.scopes, [Scope::Read, Scope::Push, Scope::Admin]);
    assert_eq!(ci.secret, SECRET);
    let written = std::env::var("CARGO_PKG_DESCRIPTION").unwrap();
    assert!(ci.token.is_same(&AdminToken::new(&written).unwrap()));
    assert!(!all.token.is_same(&ci.token));
    assert!(!format!("{config:?}").contains(&written), "{config:?}");
}

#[test]
fn problems_of_tokens_name_their_line_and_the_way_out() {
    let token = |name: &str, rest: &str| format!("[[admin.token]]\nname = '{name}'\n{rest}\n");
    let good = format!("scopes = ['read']\nsecret = '{SECRET}'");
    assert_problems(&[
        (
            "[[admin.token]]\n",
            &[
                "f:1:1: admin.token.name: missing; expected one, for example name = \"ci\"",
                "f:1:1: admin.token.scopes: missing; expected at least one",
                "f:1:1: admin.token.secret: missing; expected where it is, for example",
            ],
        ),
        (
            &token("admin", &good),
            &["f:2:8: admin.token.name: \"admin\" is the name of the token in WEIR_ADMIN_TOKEN"],
        ),
        (
            &(token("a", &good) + &token("a", &good.replace(SECRET, OTHER))),
            &["f:6:8: admin.token.name: \"a\" is the name of another token too"],
        ),
        (
            &(token("a", &good) + &token("b", &good)),
            &["f:8:10: admin.token.secret: is the token of \"a\" too; make one for each"],
        ),
        (
            &token("a b", "scopes = ['write', 'read', 'read']\nsecret = 5\nsecrt = 'x'"),
            &[
                "f:2:8: admin.token.name: found \"a b\"",
                "f:3:11: admin.token.scopes: found \"write\"; expected",
                "f:3:28: admin.token.scopes: the value is listed twice",
                "f:4:10: admin.token.secret: found an integer; expected secret",
                "f:5:1: admin.token.secrt: unknown key; did you mean `secret`?",
            ],
        ),
        (
            &token("a", "scopes = []\nsecret = 'env:CARGO_PKG_VERSION'"),
            &[
                "f:3:10: admin.token.scopes: the list is empty",
                "f:4:10: admin.token.secret: has fewer than 16 characters; make one with",
            ],
        ),
        (
            &token("a", "scopes = ['read']\nsecret = 'file:Cargo.toml'"),
            &["f:4:10: admin.token.secret: has characters that cannot be sent"],
        ),
        (
            "[admin]\ntoken = 1",
            &["f:2:9: admin.token: expected a list of tables, each written [[admin.token]]"],
        ),
        (
            "[admin]\ntoken = [1]",
            &["f:2:10: admin.token: expected a list of tables, each written [[admin.token]]"],
        ),
        ("admin = 1", &["f:1:9: admin: found integer; expected one table, written [admin]"]),
        (
            "[admin]\ntokens = []\naudit = 'x'",
            &[
                "f:2:1: admin.tokens: unknown key; did you mean `token`?",
                "f:3:1: admin.audit: unknown key",
            ],
        ),
    ]);
}

#[test]
fn a_token_is_read_from_where_it_is_and_never_repeated() {
    let text = "[[admin.token]]\nname = 'a'\nscopes = ['read']\nsecret = 'hunter2hunter2hunter2'\n\
                [[admin.token]]\nname = 'b'\nscopes = ['read']\nsecret = 'file:/nowhere/token'\n\
                [[admin.token]]\nname = 'c'\nscopes = ['read']\nsecret = 'env:WEIR_TESTS_HAVE_NO_SUCH'\n\
                [[admin.token]]\nname = 'd'\nscopes = ['read']\ntoken = 'hunter2hunter2hunter2'\n";
    let errors = read(text).unwrap_err().to_string();
    let expected = [
        "f:4:10: admin.token.secret: does not say where it is (expected \"env:NAME\" or \"file:/path\")",
        "f:8:10: admin.token.secret: the file \"/nowhere/token\" cannot be read",
        "f:12:10: admin.token.secret: the variable \"WEIR_TESTS_HAVE_NO_SUCH\" is not set",
        "f:13:1: admin.token.secret: missing",
        "f:16:1: admin.token.token: unknown key",
    ];
    for line in expected {
        assert!(errors.lines().any(|found| found.starts_with(line)), "{line} in\n{errors}");
    }
    assert_eq!(errors.lines().count(), expected.len(), "{errors}");
    assert!(!errors.contains("hunter2"), "{errors}");
}

#[test]
fn the_number_of_tokens_is_bounded() {
    let tokens: String = (0..70).map(|n| format!("[[admin.token]]\nname = 'n{n}'\n")).collect();
    let errors = read(&tokens).unwrap_err().to_string();
    assert!(errors.ends_with("admin.token: more than 64 tokens"), "{errors}");
}
