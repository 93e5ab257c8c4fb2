//! What access rules of a site come to, and what is wrong with them.

use super::problems::assert_problems;
use super::*;

const SITE: &str = "[[site]]\nname='a'\nhosts=['a']\norigins=['http://o']\n";

/// A file that is in the working directory of the tests, and long enough for a secret.
const SECRET: &str = "file:Cargo.toml";

#[test]
fn every_list_reaches_the_rules() {
    let text = format!(
        "{SITE}[site.access]\nmethods = ['GET']\n\
         [[site.access.rule]]\naction = 'deny'\nclients = ['192.0.2.0/24']\nuser_agents = ['']\n\
         [[site.access.referer]]\nabsent = 'deny'\nallow = ['*.a.test']\nsame_host = false\n\
         [[site.access.origin]]\nabsent = 'allow'\ndeny = ['b.test']\n\
         [[site.access.signature]]\npath = '/v/**'\nformat = 'weir'\nskew = '1m'\n\
         keys = [{{ id = 'k1', secret = '{SECRET}' }}]\n\
         [[site.access.signature.keys]]\nid = 'k2'\nsecret = '{SECRET}'\n"
    );
    // An inline list cannot be added to, so that the second key is left out.
    let text = text.split("[[site.access.signature.keys]]").next().unwrap();
    let site = read(text).unwrap().sites.remove(0);
    let written = site.access.written();
    assert_eq!(written.methods.as_deref(), Some(&["GET".to_owned()][..]));
    assert_eq!(written.rule[0].user_agents.as_deref(), Some(&[String::new()][..]));
    assert_eq!(written.referer[0].same_host, Some(false));
    assert_eq!(written.origin[0].deny, ["b.test"]);
    assert_eq!(written.signature[0].keys[0].id, "k1");
    let tables = text.replace(
        &format!("keys = [{{ id = 'k1', secret = '{SECRET}' }}]\n"),
        &format!("[[site.access.signature.keys]]\nid = 'k1'\nsecret = '{SECRET}'\n"),
    );
    assert_eq!(read(&tables).unwrap().sites[0], site, "keys may be tables of their own");
}

#[test]
fn problems_of_access_rules_name_their_line_and_the_way_out() {
    let problems = |rules: &str, expected: &[&str]| {
        assert_problems(&[(&format!("{SITE}{rules}"), expected)]);
    };
    problems(
        "access = 1",
        &["f:5:10: site.access: found integer; expected one table, written [site.access]"],
    );
    problems(
        "[site.access]\nmethod = ['GET']\nmethods = ['get']",
        &[
            "f:6:1: site.access.method: unknown key; did you mean `methods`?",
            "f:7:12: site.access.methods[0]: \"get\" is not a method",
        ],
    );
    problems(
        "[[site.access.rule]]\nclients = ['10.0.0.1', '10.0.0.1/8']\naktion = 'deny'",
        &[
            "f:5:1: site.access.rule[0].action: is missing (expected \"allow\", \"deny\")",
            "f:6:24: site.access.rule[0].clients[1]: \"10.0.0.1/8\" is not a network",
            "f:7:1: site.access.rule.aktion: unknown key; did you mean `action`?",
        ],
    );
    problems(
        "[[site.access.rule]]\naction = 5\n[[site.access.referer]]\nabsent = 'allow'\nallow = [1]",
        &[
            "f:6:10: site.access.rule.action: found an integer; expected string",
            "f:9:10: site.access.referer.allow: found an integer; expected host pattern",
        ],
    );
    problems(
        "[site.access]\nrule = [{ action = 'deny' }, 3]\nsignature = {}",
        &[
            "f:6:30: site.access.rule: expected a list of tables, each written [[site.access.rule]]",
            "f:7:13: site.access.signature: expected a list of tables",
        ],
    );
}

#[test]
fn a_secret_is_read_from_where_it_is_and_never_repeated() {
    let text = format!(
        "{SITE}[[site.access.signature]]\nformat = 'weir'\nvalidity = '1m'\n\
         [[site.access.signature.keys]]\nid = 'k'\nsecret = 'hunter2hunter2hunter2'\nsecrt = 1\n\
         [[site.access.signature.keys]]\nid = 'k3'\nsecret = 'file:/nowhere/key'\n\
         [[site.access.signature.keys]]\nid = 'k4'\nsecret = 'env:WEIR_TESTS_HAVE_NO_SUCH_KEY'\n"
    );
    let errors = read(&text).unwrap_err().to_string();
    let expected = [
        "f:7:12: site.access.signature[0].validity: has no effect with this format",
        "f:10:10: site.access.signature[0].keys[0].secret: does not say where it is",
        "f:11:1: site.access.signature.keys.secrt: unknown key; did you mean `secret`?",
        "f:14:10: site.access.signature[0].keys[1].secret: the file \"/nowhere/key\" cannot be read",
        "f:17:10: site.access.signature[0].keys[2].secret: the variable",
    ];
    for line in expected {
        assert!(errors.lines().any(|found| found.starts_with(line)), "{line} in\n{errors}");
    }
    assert_eq!(errors.lines().count(), expected.len(), "{errors}");
    assert!(!errors.contains("hunter2"), "{errors}");
}
