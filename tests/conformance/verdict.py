"""What became of each test, and is that what was expected?

The classification follows `determineTestResult` in the suite's `lib/display.mjs`: a test counts only
if everything it depends on passes, a failure in its preparation is not a failure of the cache, and a
`check` test has an answer but no right one. Starts nothing and reads one file.
"""

import tomllib
from dataclasses import dataclass

PROFILES = ("rfc", "default")
EVERY_PROFILE = "all"
TIERS = (1, 3)

REQUIRED, OPTIMAL, CHECK = "required", "optimal", "check"
# Only these have a right answer, so only these are expected to do anything.
GATED = (REQUIRED, OPTIMAL)

PASS, YES, NO = "pass", "yes", "no"
FAIL, OPTIONAL_FAIL = "fail", "optional_fail"
SETUP_FAIL, DEPENDENCY_FAIL = "setup_fail", "dependency_fail"
RETRY, UNTESTED = "retry", "untested"

# The longest message shown of a test; the JSON report has all of it.
SHOWN_CHARACTERS_MAX = 200


@dataclass(frozen=True)
class Verdict:
    """What became of one test."""

    kind: str
    result: str
    detail: str

    @property
    def passed(self):
        return self.result == PASS


@dataclass(frozen=True)
class Allowed:
    """A failure that is known, with its reason."""

    reason: str
    tiers: tuple

    def covers(self, tiers):
        return tiers in self.tiers


def judge(tests, results):
    """The verdict on every test, by id.

    `tests` are the suite's tests by id, `results` is what its client printed: `True`, or the name of
    an error and its message.
    """
    known = {}
    for test_id in tests:
        _classify(tests, results, test_id, known)
    return {
        test_id: Verdict(kind_of(test), known[test_id], _detail(tests, results, test_id, known))
        for test_id, test in tests.items()
    }


def kind_of(test):
    """The kind of a test; one that does not say is required."""
    return test.get("kind", REQUIRED)


def _classify(tests, results, test_id, known):
    if test_id not in known:
        known[test_id] = _classify_anew(tests, results, test_id, known)
    return known[test_id]


def _classify_anew(tests, results, test_id, known):
    result = results.get(test_id)
    if result is None:
        return UNTESTED
    for dependency in tests[test_id].get("depends_on", []):
        if _classify(tests, results, dependency, known) not in (PASS, YES):
            return DEPENDENCY_FAIL
    passed = result is True
    if not passed and result[0] == "Setup":
        return RETRY if result[1] == "retry" else SETUP_FAIL
    if kind_of(tests[test_id]) == CHECK:
        return YES if passed else NO
    if passed:
        return PASS
    return FAIL if kind_of(tests[test_id]) == REQUIRED else OPTIONAL_FAIL


def _detail(tests, results, test_id, known):
    """Why a test did not pass; empty if it did."""
    if known[test_id] == DEPENDENCY_FAIL:
        missing = [
            dependency
            for dependency in tests[test_id]["depends_on"]
            if known[dependency] not in (PASS, YES)
        ]
        return "depends on " + ", ".join(missing)
    result = results.get(test_id)
    if result is None:
        return "the suite gave no result"
    return "" if result is True else ": ".join(str(part) for part in result if part is not None)


def tally(verdicts, kind):
    """How many tests of a kind pass (for checks: answer yes), and how many there are."""
    of_kind = [verdict for verdict in verdicts.values() if verdict.kind == kind]
    good = [verdict for verdict in of_kind if verdict.result in (PASS, YES)]
    return len(good), len(of_kind)


def load_expectations(path, profile):
    """The failures allowed to a profile, by test id: those of `[all]` and its own.

    A value is the reason, or a table of `reason` and the `tiers` it is limited to. Raises
    `ValueError` where the file is not of that form.
    """
    with open(path, "rb") as file:
        sections = tomllib.load(file)
    return read_expectations(sections, profile)


def read_expectations(sections, profile):
    """Likewise, from the sections of the file."""
    if set(sections) != {EVERY_PROFILE, *PROFILES}:
        raise ValueError(f"expected the sections {EVERY_PROFILE}, {' and '.join(PROFILES)}")
    shared, own = sections[EVERY_PROFILE], sections[profile]
    if both := set(shared) & set(own):
        raise ValueError(f"{min(both)}: is in [{EVERY_PROFILE}] already")
    return {test_id: _allowed(test_id, value) for test_id, value in (shared | own).items()}


def _allowed(test_id, value):
    if isinstance(value, str):
        value = {"reason": value}
    reason, tiers = value.get("reason", ""), tuple(value.get("tiers", TIERS))
    if not reason or set(value) - {"reason", "tiers"} or not set(tiers) <= set(TIERS):
        raise ValueError(f"{test_id}: expected a reason, and tiers out of 1 and 3")
    return Allowed(reason, tiers)


def surprises(verdicts, expectations, tiers):
    """One line for each test that did other than expected; empty if the run is good."""
    allowed = {test_id for test_id, known in expectations.items() if known.covers(tiers)}
    lines = []
    for test_id in sorted(allowed | set(verdicts)):
        verdict = verdicts.get(test_id)
        if verdict is None or verdict.kind not in GATED:
            if test_id in allowed:
                lines.append(f"{test_id}: in expectations.toml, but no required or optimal test")
        elif verdict.passed and test_id in allowed:
            lines.append(f"{test_id}: passes; remove it from expectations.toml")
        elif not verdict.passed and test_id not in allowed:
            detail = verdict.detail[:SHOWN_CHARACTERS_MAX]
            lines.append(f"{test_id} ({verdict.kind}): {verdict.result}: {detail}")
    return lines
