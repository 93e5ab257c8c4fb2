"""What deny.py refuses, and what it lets pass."""

import copy
import pathlib
import tomllib
import unittest

import deny

RULES = {
    "graph": {"targets": ["x86_64-unknown-linux-gnu"]},
    "licenses": {"version": 2, "allow": ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]},
    "bans": {
        "multiple-versions": "deny",
        "wildcards": "deny",
        "deny": [
            {"crate": "openssl", "reason": "one TLS stack"},
            {"crate": "h2:<0.4.16", "reason": "a hole"},
        ],
        "skip": [],
    },
    "sources": {"unknown-registry": "deny", "unknown-git": "deny"},
}


def package(name="a", version="1.0.0", license="MIT", source=deny.REGISTRY, wants=()):
    wishes = [{"name": name, "req": req, "path": path} for name, req, path in wants]
    return {"name": name, "version": version, "license": license, "source": source,
            "dependencies": wishes}


class Deny(unittest.TestCase):
    def found(self, *packages, **bans):
        rules = copy.deepcopy(RULES)
        rules["bans"].update(bans)
        return deny.problems(rules, packages)

    def test_what_keeps_to_the_rules_passes(self):
        own = package("own", source=None, wants=[("a", "^1", None), ("b", "*", "/b")])
        self.assertEqual(self.found(package(), package("h2", "0.4.16"), own), [])

    def test_licenses(self):
        for license, allowed in [
            ("MIT", True),
            ("GPL-3.0-only", False),
            (None, False),
            ("MIT OR GPL-3.0-only", True),
            ("MIT/GPL-3.0-only", True),
            ("MIT AND GPL-3.0-only", False),
            ("GPL-3.0-only OR MIT AND ISC", True),
            ("(GPL-3.0-only OR MIT) AND ISC", True),
            ("(MIT OR ISC) AND GPL-3.0-only", False),
            ("Apache-2.0", False),
            ("Apache-2.0 WITH LLVM-exception", True),
            ("Apache-2.0 WITH other", False),
        ]:
            with self.subTest(license):
                self.assertEqual(self.found(package(license=license)) == [], allowed)

    def test_what_is_no_license_is_refused(self):
        for license in ["MIT OR", "OR MIT", "(MIT", "MIT ISC", "MIT )", "WITH", "()"]:
            with self.subTest(license), self.assertRaises(deny.BadRule):
                self.found(package(license=license))

    def test_banned_crates_and_versions(self):
        self.assertEqual(self.found(package("openssl")), ["openssl 1.0.0: is banned: one TLS stack"])
        self.assertEqual(self.found(package("h2", "0.4.15")), ["h2 0.4.15: is banned: a hole"])
        self.assertEqual(self.found(package("h2", "0.3.99-alpha")), ["h2 0.3.99-alpha: is banned: a hole"])
        self.assertEqual(self.found(package("openssl-probe")), [])

    def test_sources(self):
        for source in ["git+https://example.com/a#1234", "registry+https://example.com/index",
                       "sparse+https://example.com/"]:
            with self.subTest(source):
                self.assertEqual(self.found(package(source=source)), [f"a 1.0.0: comes from {source}"])

    def test_a_crate_is_there_once_unless_it_is_skipped(self):
        both = [package(version="1.0.0"), package(version="2.0.0")]
        self.assertEqual(self.found(*both), ["a: is there as 1.0.0 and 2.0.0"])
        skip = [{"crate": "a@1.0.0", "reason": "old"}]
        self.assertEqual(self.found(*both, skip=skip), [])
        self.assertEqual(self.found(both[1], skip=skip), ["a@1.0.0: is skipped and not there"])

    def test_any_version_is_no_version(self):
        own = package("own", source=None, wants=[("b", "*", None)])
        self.assertEqual(self.found(own), ["own 1.0.0: wants b in any version"])

    def test_rules_that_are_not_understood_or_lax_are_refused(self):
        changes = [("bans", "features", []), ("licenses", "exceptions", []), ("other", "x", 1),
                   ("sources", "unknown-git", "allow"), ("bans", "multiple-versions", "warn"),
                   ("bans", "deny", [{"crate": "a"}]), ("bans", "deny", [{"crate": "a:^1", "reason": "x"}])]
        for section, key, value in changes:
            rules = copy.deepcopy(RULES)
            rules.setdefault(section, {})[key] = value
            with self.subTest(f"{section}.{key}"), self.assertRaises(deny.BadRule):
                deny.problems(rules, [package()])

    def test_the_rules_of_this_tree_are_understood(self):
        root = pathlib.Path(deny.__file__).resolve().parent.parent
        deny.check_rules(tomllib.loads((root / "deny.toml").read_text()))


if __name__ == "__main__":
    unittest.main()
