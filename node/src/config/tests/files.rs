//! What files come to: includes, files of sites, and files that cannot be read.

use std::fs;
use std::path::PathBuf;

use super::*;

use crate::mmdb::{Mmdb, Record};

/// Removes the directory of a test when it ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-config-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("sites.d")).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.0.join(name), text).unwrap();
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ignored_at_the_end_of_a_test = fs::remove_dir_all(&self.0);
    }
}

fn site(name: &str) -> String {
    format!("[[site]]\nname = '{name}'\nhosts = ['{name}.example']\norigins = ['http://o']\n")
}

#[test]
fn included_files_add_sites_in_the_order_of_their_names() {
    let dir = Scratch::new("order");
    dir.write("sites.d/b.toml", &site("b"));
    dir.write("sites.d/a.toml", &site("a"));
    dir.write("sites.d/c.toml.bak", "not read");
    dir.write("last.toml", &site("z"));
    let include = "include = ['last.toml', 'sites.d/*.toml', 'sites.d/a.toml', 'none.d/*.toml']\n";
    let main = dir.write("edge-0.toml", &format!("{include}{}", site("main")));
    let config = load(&main, &defaults(), NO_ENV).unwrap();
    let names: Vec<_> = config.sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names, ["main", "z", "a", "b"]);
}

#[test]
fn problems_of_included_files_name_that_file() {
    let dir = Scratch::new("problems");
    let a = dir.write("sites.d/a.toml", &format!("{}\n[node]\nname = 'x'\n", site("a")));
    let b = dir.write("sites.d/b.toml", "[[site]\n");
    let c = dir.write("sites.d/c.toml", &site("a"));
    let main = dir.write("edge-0.toml", "include = ['sites.d/*.toml', 'gone.toml']\n[node]\nx = 1");
    let errors = load(&main, &defaults(), NO_ENV).unwrap_err().to_string();
    let (main, a, b, c) = (main.display(), a.display(), b.display(), c.display());
    let expected = [
        format!("{main}:1:11: include: \"gone.toml\" is not a file; expected one"),
        format!("{main}:3:1: node.x: unknown key"),
        format!("{a}:6:2: node: unknown key; only [[site]] tables may stand in this file"),
        format!("{b}:1:8: not TOML: "),
        format!("{c}:2:8: site.name: \"a\" is the name of another site too ({a}:2)"),
        format!("{c}:3:9: site.hosts: \"a.example\" is a host of another site too ({a}:3)"),
    ];
    assert_eq!(errors.lines().count(), expected.len(), "{errors}");
    for (line, expected) in errors.lines().zip(&expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
}

#[test]
fn files_that_cannot_be_read_are_problems() {
    let dir = Scratch::new("unreadable");
    let gone = load(&dir.0.join("gone.toml"), &defaults(), NO_ENV).unwrap_err();
    assert!(gone.to_string().contains("gone.toml: cannot be read: "), "{gone}");
    fs::write(dir.0.join("latin.toml"), b"# \xe9").unwrap();
    let latin = load(&dir.0.join("latin.toml"), &defaults(), NO_ENV).unwrap_err();
    assert!(latin.to_string().ends_with("latin.toml: is not UTF-8 from byte 2"), "{latin}");
    let long = dir.write("long.toml", &"#".repeat((4 << 20) + 1));
    let long = load(&long, &defaults(), NO_ENV).unwrap_err();
    assert!(long.to_string().contains("long.toml: is longer than 4MiB"), "{long}");
}

#[test]
fn a_file_of_sites_may_leave_origins_to_its_reader() {
    let dir = Scratch::new("sites");
    let good = dir.write("good.toml", "[[site]]\nname = 'a'\nhosts = ['*']\n");
    assert_eq!(load_sites(&good).unwrap()[0].origins, []);
    let bad = dir.write("bad.toml", "[store]\nmemory = '1GiB'\n[[site]]\nname = 'a'\n");
    let errors = load_sites(&bad).unwrap_err();
    let lines: Vec<_> = errors.problems().iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 3], "{errors}");
}

#[test]
fn the_number_of_sites_is_bounded() {
    let many = |count: usize| {
        let sites = (0..count).map(|i| format!("[[site]]\nname='s{i}'\nhosts=['h{i}']\n"));
        format!("[node]\nparents=['http://p']\n{}", sites.collect::<String>())
    };
    assert_eq!(read(&many(10_000)).unwrap().sites.len(), 10_000);
    let errors = read(&many(10_002)).unwrap_err();
    assert_eq!(errors.to_string(), "f:30003:1: site: more than 10000 sites");
}

#[test]
fn the_file_of_countries_is_read_with_the_configuration() {
    let dir = Scratch::new("countries");
    let rule = "[[site.access.rule]]\naction = 'deny'\ncountries = ['DE']\n";
    let text = |name: &str| {
        let path = dir.0.join(name);
        format!("[node]\ncountry_file = '{}'\n{}{rule}", path.display(), site("a"))
    };
    let networks = [("192.0.2.0/24", Record::Country("DE"))];
    fs::write(dir.0.join("a.mmdb"), Mmdb::COUNTRIES.write(&networks)).unwrap();
    let config = read(&text("a.mmdb")).unwrap();
    assert_eq!(config.countries.countries().kind(), Some("Weir-Test-Country"));
    assert_eq!(read(&to_toml(&config)).as_ref(), Ok(&config), "written and read back");

    // (the file, how its problem goes on)
    let cases = [
        ("none.mmdb", "cannot be read (No such file or directory"),
        ("sites.d", "is no file; expected a MaxMind DB file with countries, such as GeoLite2-Cou"),
        ("b.mmdb", "is no MaxMind DB file, or not all of one ("),
    ];
    fs::write(dir.0.join("b.mmdb"), "not one").unwrap();
    for (name, why) in cases {
        let found = read(&text(name)).unwrap_err().to_string();
        let path = dir.0.join(name);
        let expected = format!("f:2:16: node.country_file: the file {path:?} {why}");
        assert!(found.starts_with(&expected) && found.lines().count() == 1, "{found}");
    }
    let env = [("WEIR__NODE__COUNTRY_FILE", "/nowhere.mmdb")];
    let found = read_with(&text("a.mmdb"), &env).unwrap_err().to_string();
    assert!(found.starts_with("environment: WEIR__NODE__COUNTRY_FILE: the file"), "{found}");
}

#[test]
fn rules_that_name_countries_need_a_file_that_knows_them() {
    let rules = "[[site.access.rule]]\naction = 'deny'\nclients = ['::1']\n\
                 [[site.access.rule]]\naction = 'deny'\ncountries = ['unknown']\n";
    let text = format!("{}{}{rules}", site("a"), site("b"));
    let problem = "f:14:13: site.access.rule[1].countries: is not known without country_file; set it in \
                   [node] to a MaxMind DB file with countries, for example country_file = ";
    let found = read(&text).unwrap_err().to_string();
    assert!(found.starts_with(problem) && found.lines().count() == 1, "{found}");
    let dir = Scratch::new("countries-of-sites");
    let sites = dir.write("sites.d/a.toml", &text);
    let found = load_sites(&sites).unwrap_err().to_string();
    assert!(found.contains("a.toml:14:13: site.access.rule[1].countries: is not known"), "{found}");
    let unsound = format!("[node]\ncountry_file = 1\n{text}");
    let found = read(&unsound).unwrap_err().to_string();
    assert!(found.starts_with("f:2:16: node.country_file: found"), "{found}");
    assert_eq!(found.lines().count(), 1, "one mistake is one problem: {found}");
}
