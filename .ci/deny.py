#!/usr/bin/env python3
"""Does every crate that is built here keep to deny.toml?

Checks what `cargo deny check bans licenses sources` checks, as far as deny.toml uses it, with nothing but Python
and cargo: building cargo-deny takes longer than all lints. Exits 1 and names every crate that does not keep to it.

What of deny.toml it does not know, it refuses: a rule that is passed over in silence would be believed to hold.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"

# Section -> keys that are understood; `advisories` needs a database from the network and cargo-deny.
KNOWN = {
    "graph": {"targets"},
    "advisories": None,
    "licenses": {"version", "allow", "private"},
    "bans": {"multiple-versions", "wildcards", "allow-wildcard-paths", "deny", "skip"},
    "sources": {"unknown-registry", "unknown-git"},
}


class BadRule(Exception):
    """deny.toml, or a license, says something that is not understood."""


def check_rules(rules):
    """Refuses what is not understood, and what would not be strict."""
    for section, content in rules.items():
        if section not in KNOWN:
            raise BadRule(f"[{section}] is not understood")
        if KNOWN[section] is not None and (unknown := set(content) - KNOWN[section]):
            raise BadRule(f"[{section}] {sorted(unknown)[0]} is not understood")
    for section, key in [("bans", "multiple-versions"), ("bans", "wildcards"),
                         ("sources", "unknown-registry"), ("sources", "unknown-git")]:
        if rules.get(section, {}).get(key) != "deny":
            raise BadRule(f"[{section}] {key} is not \"deny\"")


def is_allowed(expression, allowed):
    """Whether a license expression (SPDX, or with the older `/` for OR) can be met with licenses of `allowed`."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def license():
        if not tokens:
            raise BadRule(f"the license {expression!r} ends early")
        token = tokens.pop(0)
        if token == "(":
            met = either()
            if not tokens or tokens.pop(0) != ")":
                raise BadRule(f"the license {expression!r} has an open bracket")
            return met
        if token in ("AND", "OR", "WITH", ")"):
            raise BadRule(f"the license {expression!r} is no expression")
        if tokens[:1] == ["WITH"]:
            tokens.pop(0)
            token = f"{token} WITH {tokens.pop(0) if tokens else ''}"
        return token in allowed

    def both():
        met = license()
        while tokens[:1] == ["AND"]:
            tokens.pop(0)
            met &= license()
        return met

    def either():
        met = both()
        while tokens[:1] == ["OR"]:
            tokens.pop(0)
            met |= both()
        return met

    met = either()
    if tokens:
        raise BadRule(f"the license {expression!r} is no expression")
    return met


def number(version):
    """A version as numbers; what is before a release counts as the release."""
    match = re.fullmatch(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:[-+].*)?", version.strip())
    if match is None:
        raise BadRule(f"{version!r} is no version")
    return tuple(int(part or 0) for part in match.groups())


def in_range(version, wanted):
    """Whether `version` is in a range such as `<0.4.16`, `>=1, <2` or `=0.22.1`."""
    compare = {
        "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, "=": lambda a, b: a == b,
        ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    }
    for part in wanted.split(","):
        match = re.fullmatch(r"\s*(<=|>=|<|>|=)\s*([^\s]+)\s*", part)
        if match is None:
            raise BadRule(f"{wanted!r} is no range (expected such as \"<1.2.3\" or \"=1.2.3\")")
        if not compare[match[1]](number(version), number(match[2])):
            return False
    return True


def names(rule, package):
    """Whether an entry of `deny` or `skip` is about a package. It has to say why it is there."""
    if not isinstance(rule, dict) or set(rule) != {"crate", "reason"}:
        raise BadRule(f"{rule} is not {{ crate = ..., reason = ... }}")
    name, _, wanted = rule["crate"].replace("@", ":=").partition(":")
    return name == package["name"] and (not wanted or in_range(package["version"], wanted))


def problems(rules, packages):
    """Everything that does not keep to the rules, one line each."""
    check_rules(rules)
    found = []
    allowed, bans = set(rules["licenses"]["allow"]), rules["bans"]
    versions, used = {}, set()
    for package in packages:
        called = f"{package['name']} {package['version']}"
        if package["source"] not in (None, REGISTRY):
            found.append(f"{called}: comes from {package['source']}")
        license = package.get("license")
        if not license or not is_allowed(license, allowed):
            found.append(f"{called}: has the license {license}, which deny.toml does not allow")
        found += [f"{called}: is banned: {rule['reason']}"
                  for rule in bans["deny"] if names(rule, package)]
        found += [f"{called}: wants {wish['name']} in any version"
                  for wish in package["dependencies"]
                  if wish["req"] == "*" and package["source"] is None and not wish.get("path")]
        skips = [rule["crate"] for rule in bans.get("skip", []) if names(rule, package)]
        used.update(skips)
        if not skips:
            versions.setdefault(package["name"], []).append(package["version"])
    found += [f"{name}: is there as {' and '.join(sorted(several))}"
              for name, several in versions.items() if len(several) > 1]
    found += [f"{rule['crate']}: is skipped and not there"
              for rule in bans.get("skip", []) if rule["crate"] not in used]
    return found


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout


def graph(rules):
    """The packages that are built on the targets of the rules, for tests too.

    Metadata also have those of features that nobody has turned on; the tree has none of these, and no licenses.
    """
    built = set()
    for target in rules["graph"]["targets"]:
        tree = cargo("tree", "--locked", "--workspace", "--target", target, "--prefix=none", "--format={p}")
        built |= {tuple(line.split()[:2]) for line in tree.decode().splitlines() if line}
    metadata = json.loads(cargo("metadata", "--locked", "--format-version=1"))
    packages = [package for package in metadata["packages"]
                if (package["name"], f"v{package['version']}") in built]
    if len(packages) < len(built):
        raise BadRule(f"of {len(built)} packages that are built, cargo describes {len(packages)}")
    return packages


def main():
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    try:
        packages = graph(rules)
        found = problems(rules, packages)
    except BadRule as bad:
        found = [f"deny.toml: {bad}"]
    for line in found:
        print(line, file=sys.stderr)
    if found:
        return 1
    print(f"deny: {len(packages)} packages keep to deny.toml")
    return 0


if __name__ == "__main__":
    sys.exit(main())
