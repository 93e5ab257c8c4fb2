//! What rules by path come to, and what is wrong with them.

use http::StatusCode;
use weir_cache::{Rule, RuleSet};

use super::problems::assert_problems;
use super::*;

const SITE: &str = "[[site]]\nname='a'\nhosts=['a']\norigins=['http://o']\n";

#[test]
fn rules_are_kept_in_the_order_of_the_file() {
    let text = format!(
        "{SITE}ttl_jitter = '5%'\n[site.key]\nquery_sort = false\n\
         [[site.rule]]\npath = '/img/**'\nttl = '7d'\nmin_ttl = '1m'\nmax_ttl = '30d'\n\
         respect_origin = false\nnegative_ttl = {{ '404' = '30s', 503 = '2s' }}\n\
         [[site.rule]]\npath = '/api/*'\nbypass = true\n[[site.rule]]\npath = '/**'"
    );
    let site = read(&text).unwrap().sites.remove(0);
    let secs = |secs| Some(Duration::from_secs(secs));
    let path = |text: &str| text.parse().unwrap();
    let img = Rule {
        ttl: secs(604_800),
        min_ttl: secs(60),
        max_ttl: secs(2_592_000),
        respect_origin: false,
        negative_ttl: [(404, 30), (503, 2)]
            .map(|(status, secs)| {
                (StatusCode::from_u16(status).unwrap(), Duration::from_secs(secs))
            })
            .into(),
        ..Rule::new(path("/img/**"))
    };
    let api = Rule { bypass: true, ..Rule::new(path("/api/*")) };
    let rules = vec![img, api, Rule::new(path("/**"))];
    assert_eq!(site.rules, RuleSet { rules, jitter_percent: 5 });
    assert!(!site.key.query.sort, "tables before the rules are still the site's");
}

#[test]
fn each_site_has_the_rules_that_follow_it() {
    let other = SITE.replace("'a'", "'b'");
    let text = format!("{SITE}[[site.rule]]\npath='/a'\n{other}[[site.rule]]\npath='/b'");
    let sites = read(&text).unwrap().sites;
    let paths: Vec<_> = sites.iter().map(|site| site.rules.rules[0].path.to_string()).collect();
    assert_eq!(paths, ["/a", "/b"]);
}

#[test]
fn problems_of_rules_name_their_line_and_the_way_out() {
    let problems = |rule: &str, expected: &[&str]| {
        assert_problems(&[(&format!("{SITE}[[site.rule]]\n{rule}"), expected)]);
    };
    problems("", &["f:5:1: site.rule.path: missing; expected one, for example path = \"/img/**\""]);
    problems(
        "path='img/*'",
        &["f:6:6: site.rule.path: \"img/*\" does not begin with / (expected a path such as"],
    );
    problems("path='/a**'", &["f:6:6: site.rule.path: \"/a**\" has ** beside other characters"]);
    problems("path=1", &["f:6:6: site.rule.path: found an integer; expected path pattern"]);
    problems("path='/a'\nttk='1s'", &["f:7:1: site.rule.ttk: unknown key; did you mean `ttl`?"]);
    problems("path='/a'\nttl=60", &["f:7:5: site.rule.ttl: 60 has no unit"]);
    problems(
        "path='/a'\nmin_ttl='2m'\nmax_ttl='1m'",
        &["f:7:9: site.rule.min_ttl: is above max_ttl; expected at most that"],
    );
    problems("path='/a'\nttl='2m'\nmax_ttl='1m'", &["f:7:5: site.rule.ttl: is above max_ttl"]);
    problems("path='/a'\nmin_ttl='2m'\nmax_ttl='1x'", &["f:8:9: site.rule.max_ttl: \"1x\""]);
    problems(
        "path='/a'\nrespect_origin=false",
        &["f:7:16: site.rule.respect_origin: has no effect without ttl"],
    );
    problems(
        "path='/a'\nbypass=true\nttl='1s'",
        &["f:7:8: site.rule.bypass: leaves no effect to the lifetimes"],
    );
    problems(
        "path='/a'\nnegative_ttl={ 404 = '1s', 999 = '1s', teapot = '1s' }",
        &[
            "f:7:28: site.rule.negative_ttl: found status \"999\"; expected table of durations (by",
            "f:7:40: site.rule.negative_ttl: found status \"teapot\"",
        ],
    );
    problems(
        "path='/a'\nnegative_ttl=['404=1s']",
        &["f:7:14: site.rule.negative_ttl: found an array; expected table of durations"],
    );
}

#[test]
fn what_is_no_list_of_rules_is_a_problem() {
    assert_problems(&[
        (
            &format!("{SITE}[site.rule]\npath='/a'"),
            &["f:5:1: site.rule: expected a list of tables, each written [[site.rule]]"],
        ),
        (&format!("{SITE}rule=[1]"), &["f:5:7: site.rule: expected a table"]),
        (
            &format!("{SITE}[[site.rules]]"),
            &["f:5:8: site.rules: unknown key; did you mean `rule`"],
        ),
        (
            &format!("{SITE}ttl_jitter='51%'"),
            &["f:5:12: site.ttl_jitter: found \"51%\"; expected share (0% to 50%)"],
        ),
        (
            &format!("{SITE}{}", "[[site.rule]]\npath='/a'\n".repeat(258)),
            &["f:517:1: site.rule: more than 256 rules"],
        ),
    ]);
}

#[test]
fn rules_are_read_back_as_they_were_written() {
    let mut config = NodeConfig::with_defaults(&defaults());
    let mut site = SiteConfig::new("www", Profile::Default);
    site.hosts = vec![HostPattern::Any];
    site.origins = vec!["http://o".parse().unwrap()];
    site.rules.jitter_percent = 7;
    let all = Rule {
        ttl: Some(Duration::from_secs(9)),
        max_ttl: Some(Duration::from_secs(99)),
        respect_origin: false,
        negative_ttl: [(StatusCode::NOT_FOUND, Duration::from_millis(1_500))].into(),
        ..Rule::new("/a/**".parse().unwrap())
    };
    site.rules.rules = vec![all, Rule::new("/b?".parse().unwrap())];
    let mut second = SiteConfig { rules: site.rules.clone(), ..site.clone() };
    second.name = "other".to_owned();
    second.hosts = vec!["other.example".parse().unwrap()];
    config.sites = vec![site, second];
    let text = to_toml(&config);
    assert_eq!(read(&text).as_ref(), Ok(&config), "{text}");
}
