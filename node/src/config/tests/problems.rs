//! What a wrong file comes to: every problem, with its line and the way out.

use super::*;

/// A file and the beginnings of the problems it must come to, in this order and no others.
type Case<'a> = (&'a str, &'a [&'a str]);

pub(super) fn assert_problems(cases: &[Case<'_>]) {
    for (text, expected) in cases {
        let Err(errors) = read(text) else { panic!("no problem in\n{text}") };
        let found: Vec<_> = errors.problems().iter().map(ToString::to_string).collect();
        let fits = found.len() == expected.len()
            && found.iter().zip(*expected).all(|(found, start)| found.starts_with(start));
        assert!(fits, "in\n{text}\nfound\n{errors}\nexpected\n{}", expected.join("\n"));
    }
}

#[test]
fn problems_of_keys_name_their_line_and_the_way_out() {
    assert_problems(&[
        ("[node]\nlistn = 1", &["f:2:1: node.listn: unknown key; did you mean `listen`?"]),
        ("[stor]\nmemory = 1", &["f:1:2: stor: unknown key; did you mean `store`?"]),
        ("[[sites]]", &["f:1:3: sites: unknown key; did you mean `site`?"]),
        ("listen = '[::1]:80'", &["f:1:1: listen: unknown key; did you mean `node.listen`?"]),
        ("[node]\nmemory = 1", &["f:2:1: node.memory: unknown key; did you mean `store.memory`?"]),
        ("[node]\nzzz = 1", &["f:2:1: node.zzz: unknown key"]),
        ("[node]\n'a\\nb' = 1", &["f:2:1: node.a\\\\nb: unknown key"]),
        ("[node]\n\"a\\nb\" = 1", &["f:2:1: node.a\\nb: unknown key"]),
        ("[[node]]\nlistn = 1", &["f:1:1: node: found array; expected one table, written [node]"]),
        ("store = 1", &["f:1:9: store: found integer; expected one table, written [store]"]),
        ("[node]\ntier = 'edge'", &["f:2:1: node.tier: the tier is chosen by the program"]),
        (
            "[upstream]\nkeepalive = 30",
            &["f:2:13: upstream.keepalive: 30 has no unit, write \"30s\""],
        ),
        (
            "[upstream]\nkeepalive = '0'",
            &["f:2:13: upstream.keepalive: found \"0\"; expected duration (1ms to 24h)"],
        ),
        ("[fill]\nwindow = '64M'", &["f:2:10: fill.window: \"64M\" has the unknown unit `M`"]),
        ("[node]\nworkers = 0", &["f:2:11: node.workers: found 0; expected integer (1 to 1024)"]),
        ("[node]\nunknown_host = 400", &["f:2:16: node.unknown_host: found \"400\"; expected int"]),
        (
            "[log]\nlevel = 'wran'",
            &["f:2:9: log.level: found \"wran\"; expected string (\"error\","],
        ),
        ("[log]\naccess = 'yes'", &["f:2:10: log.access: found a string; expected boolean"]),
        ("[node]\nlisten = 'localhost:80'", &["f:2:10: node.listen: found \"localhost:80\""]),
        ("[upstream]\neject_after = 101", &["f:2:15: upstream.eject_after: found 101"]),
        (
            "[node]\nparents = ['http://a', 'https://b/c', 'http://A:80', 'c']",
            &[
                "f:2:24: node.parents: the address has a path or a query",
                "f:2:39: node.parents: the value is listed twice",
                "f:2:54: node.parents: the address does not begin with `http://`",
            ],
        ),
        (
            "[node]\nworkers = 0\nlistn = 1\n[fill]\nwindo = 1\n[nod]",
            &["f:2:11: ", "f:3:1: ", "f:5:1: ", "f:6:2: nod: unknown key; did you mean `node`?"],
        ),
    ]);
}

#[test]
fn problems_of_sites_name_their_line_and_the_way_out() {
    assert_problems(&[
        (
            "[[site]]\nname = 'a'\nhosts = ['a']\norigins = ['http://a']\n[site.origin]\n\
             tls_name = 'a:443'\ntls_ca = 'ca.pem'\ntls_verify = false\nprotocol = 'http3'",
            &[
                "f:6:12: site.origin.tls_name: found \"a:443\" with a port; expected host",
                "f:7:10: site.origin.tls_ca: has no effect without an https origin",
                "f:8:14: site.origin.tls_verify: has no effect without an https origin",
                "f:9:12: site.origin.protocol: found \"http3\"; expected string",
            ],
        ),
        (
            "[[site]]\nname = 'a'\nhosts = ['a']\norigins = ['https://a']\n[site.origin]\n\
             tls_ca = 'ca.pem'\ntls_verify = false",
            &["f:6:10: site.origin.tls_ca: has no effect with tls_verify = false"],
        ),
        ("site = 1", &["f:1:8: site: expected a list of tables, each written [[site]]"]),
        ("[site]\nname = 'a'", &["f:1:1: site: expected a list of tables"]),
        ("site = [1]", &["f:1:9: site: expected a table"]),
        (
            "\n[[site]]",
            &[
                "f:2:1: site.name: missing",
                "f:2:1: site.hosts: missing",
                "f:2:1: site.origins: mis",
            ],
        ),
        (
            "[[site]]\nname = 'a b'\nhosts = []\norigins = ['ftp://a']",
            &[
                "f:2:8: site.name: found \"a b\"",
                "f:3:9: site.hosts: the list is empty",
                "f:4:12: site.origins: the address does not begin with `http://`; expected URL (http",
            ],
        ),
        (
            "[[site]]\nname='a'\nhosts=['a']\norigins=[]\n[site.key]\nheader=[]\n[site.field]",
            &[
                "f:4:9: site.origins: missing; expected one where the node has no parents",
                "f:6:1: site.key.header: unknown key; did you mean `headers`?",
                "f:7:7: site.field: unknown key; did you mean `fields`?",
            ],
        ),
        (
            "[node]\nparents=['http://p']\n[[site]]\nname='a'\nhosts=['A.b','*']\n\
             [[site]]\nname='a'\nhosts=['a.b.','*.b','*']",
            &[
                "f:7:6: site.name: \"a\" is the name of another site too (f:4)",
                "f:8:7: site.hosts: \"a.b\" is a host of another site too (f:5)",
                "f:8:7: site.hosts: \"*\" is a host of another site too (f:5)",
            ],
        ),
        (
            "[node]\nparents=['http://p']\n[[site]]\nname='a'\nhosts=['a']\nprofile='rcf'\n\
             heuristic=false\nheuristic_max='1h'\n[site.key]\ncookies=['a;b']\nheaders=['cookie']",
            &[
                "f:6:9: site.profile: found \"rcf\"; expected string (\"default\", \"rfc\")",
                "f:8:15: site.heuristic_max: has no effect with heuristic = false",
                "f:10:10: site.key.cookies: found \"a;b\"",
                "f:11:10: site.key.headers: a whole Cookie field splits the cache by client",
            ],
        ),
    ]);
}

#[test]
fn impossible_relations_are_problems() {
    assert_problems(&[
        (
            "[store]\nmemory = '8MiB'\nobject_max = '2MiB'",
            &[
                "f:3:14: store.object_max: object_max is 2MiB and may be at most an eighth of memory, \
               which is 1MiB",
            ],
        ),
        ("[store]\nobject_max = '33MiB'", &["f:2:14: store.object_max: object_max is 33MiB"]),
        ("[limits]\nhead_max='8KiB'\nurl_max='9KiB'", &["f:3:9: limits.url_max: url_max is 9KiB"]),
        ("[node]\nlisten = '[::]:65000'", &["f:2:10: node.listen: leaves no port for the admin"]),
        (
            "[node]\nlisten = '0.0.0.0:80'\nadmin = '127.0.0.1:80'",
            &["f:3:9: node.admin: listen and admin both take port 80"],
        ),
        (
            "[node]\nparents = ['http://localhost:8080']",
            &["f:2:11: node.parents: http://localhost:8080 is this node itself"],
        ),
        (
            "[purge]\nauthority = 'http://localhost:8080'",
            &["f:2:13: purge.authority: http://localhost:8080 is this node itself"],
        ),
        (
            "[purge]\nauthority = 'http://a:1'\nnats = 'nats://b'",
            &["f:3:8: purge.nats: nats and authority each name who keeps the purge log"],
        ),
        ("[purge]\nnats_stream = 'a'", &["f:2:15: purge.nats_stream: has no effect without nats"]),
        ("[store]\nmemory = 1\nobject_max = '1GiB'", &["f:2:10: store.memory: 1 has no unit"]),
        (
            "[node]\nparents = [1]\n[[site]]\nname = 'a'\nhosts = ['*']",
            &["f:2:12: node.parents: found an integer"],
        ),
    ]);
}

#[test]
fn a_port_that_the_system_chooses_is_chosen_for_both_listeners() {
    let config = read("[node]\nlisten = '127.0.0.1:0'").unwrap();
    assert_eq!(config.admin.to_string(), "127.0.0.1:0");
}

#[test]
fn a_text_that_is_no_toml_is_a_problem_at_its_line() {
    assert_problems(&[
        ("a = 1\nb = = 2", &["f:2:5: not TOML: "]),
        ("a = 1\na = 1", &["f:2:1: not TOML: duplicate key"]),
        ("[node\nlistn = 1", &["f:1:6: not TOML: "]),
    ]);
    let long = "#".repeat(4 << 20);
    assert!(read(&long).is_ok());
    assert!(read(&(long + "#")).unwrap_err().to_string().starts_with("f: is longer than 4MiB"));
}

#[test]
fn secrets_are_sent_to_the_environment_and_never_repeated() {
    let text = "[node]\nsecret = 'hunter2'\ntoken = 'hunter2'\nparents = ['http://me:hunter2@p']\n\
                origin_password = 'hunter2'";
    let env =
        [("WEIR__NODE__TIER_SECRET", "hunter2"), ("WEIR__NODE__PARENTS", "http://a:hunter2@p")];
    let problems = read_with(text, &env).unwrap_err().to_string();
    for expected in [
        "f:2:1: node.secret: secrets do not belong here; set the variable WEIR_TIER_SECRET instead",
        "f:3:1: node.token: secrets do not belong here; set the variable WEIR_ADMIN_TOKEN instead",
        "f:4:12: node.parents: the address holds a user name or a password",
        "environment: WEIR__NODE__TIER_SECRET: secrets do not belong here",
    ] {
        assert!(problems.contains(expected), "{expected} in\n{problems}");
    }
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn problems_of_variables_name_the_variable() {
    // (name, value, expected)
    let cases = [
        ("WEIR__NODE__WORKRS", "1", "unknown key; did you mean `WEIR__NODE__WORKERS`?"),
        ("WEIR__node__workers", "1", "unknown key; did you mean `WEIR__NODE__WORKERS`?"),
        ("WEIR__NODE__WORKERS", "", "found \"\"; expected integer (1 to 1024), for example 2"),
        ("WEIR__STORE__MEMORY", "64", "\"64\" has no unit; expected size (at least 1MiB)"),
        ("WEIR__STORE__OBJECT_MAX", "1GiB", "object_max is 1GiB and may be at most"),
        ("WEIR__SITE__NAME", "a", "a variable cannot set a key of a site; use the file"),
        ("WEIR__INCLUDE", "a", "unknown key"),
        ("WEIR__", "a", "unknown key"),
    ];
    for (name, value, expected) in cases {
        let errors = read_with("", &[(name, value)]).unwrap_err();
        let expected = format!("environment: {name}: {expected}");
        assert!(errors.to_string().starts_with(&expected), "{expected}\n{errors}");
        assert_eq!(errors.problems().len(), 1, "{errors}");
        assert_eq!(errors.problems()[0].line, 0);
    }
}

#[test]
fn an_include_needs_a_file_to_start_from() {
    assert_problems(&[("include = ['a.toml']", &["f:1:11: include: is of use in a file only"])]);
}

/// Above a regional are shields; two purge logs would each hold on a part of the nodes.
#[test]
fn a_regional_with_several_shields_is_told_who_keeps_the_purge_log() {
    let regional = TierDefaults { tier: Tier::Regional, ..defaults() };
    let parents = "[node]\nparents = ['http://s-0:1', 'http://s-1:1']";
    let named = format!("{parents}\n[purge]\nauthority = 'http://s-0:1'");
    assert!(parse(&named, "f", &regional, NO_ENV).is_ok());
    assert!(parse(parents, "f", &defaults(), NO_ENV).is_ok(), "an edge has several regionals");
    let errors = parse(parents, "f", &regional, NO_ENV).unwrap_err().to_string();
    assert!(errors.contains("set authority in [purge]"), "{errors}");
}
