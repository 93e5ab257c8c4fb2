//! What files come to: includes, files of sites, and files that cannot be read.

use std::fs;
use std::path::PathBuf;

use super::*;

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
