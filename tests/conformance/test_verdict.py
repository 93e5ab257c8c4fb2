"""Tests of verdict.py: `python3 -m unittest discover tests/conformance`."""

import unittest

import verdict


def test(test_id, kind=None, depends_on=()):
    made = {"id": test_id, "depends_on": list(depends_on)}
    return made if kind is None else made | {"kind": kind}


def by_id(*tests):
    return {one["id"]: one for one in tests}


class Judging(unittest.TestCase):
    def test_a_result_alone_decides_by_the_kind_of_the_test(self):
        cases = [
            (None, True, "pass", "a test that states no kind is required"),
            ("required", True, "pass", ""),
            ("optimal", True, "pass", ""),
            ("check", True, "yes", ""),
            (None, ["Assertion", "x"], "fail", ""),
            ("optimal", ["Assertion", "x"], "optional_fail", ""),
            ("check", ["Assertion", "x"], "no", ""),
            ("required", ["FetchError", "x"], "fail", "whatever failed, the client got no answer"),
            ("required", ["Setup", "x"], "setup_fail", "nothing was tested"),
            ("check", ["Setup", "x"], "setup_fail", ""),
            ("required", ["Setup", "retry"], "retry", "the origin saw a request twice"),
            ("required", None, "untested", ""),
        ]
        for kind, result, expected, why in cases:
            with self.subTest(kind=kind, result=result, why=why):
                results = {} if result is None else {"a": result}
                self.assertEqual(verdict.judge(by_id(test("a", kind)), results)["a"].result, expected)

    def test_what_a_test_depends_on_must_pass_all_the_way_down(self):
        tests = by_id(
            test("root", "check"), test("middle", None, ["root"]), test("leaf", "optimal", ["middle"])
        )
        failed = ["Assertion", "x"]
        cases = [
            ((True, True, True), ("yes", "pass", "pass")),
            ((True, failed, True), ("yes", "fail", "dependency_fail")),
            ((failed, True, True), ("no", "dependency_fail", "dependency_fail")),
            ((failed, failed, None), ("no", "dependency_fail", "untested")),
        ]
        for given, expected in cases:
            with self.subTest(given=given):
                pairs = zip(("root", "middle", "leaf"), given, strict=True)
                results = {test_id: result for test_id, result in pairs if result is not None}
                verdicts = verdict.judge(tests, results)
                found = tuple(verdicts[one].result for one in ("root", "middle", "leaf"))
                self.assertEqual(found, expected)

    def test_the_score_counts_each_kind_for_itself(self):
        tests = by_id(test("a"), test("b"), test("c", "optimal"), test("d", "check"))
        verdicts = verdict.judge(tests, {"a": True, "b": ["Assertion", "x"], "c": True, "d": True})
        scores = [verdict.tally(verdicts, kind) for kind in ("required", "optimal", "check")]
        self.assertEqual(scores, [(1, 2), (1, 1), (1, 1)])


class Expecting(unittest.TestCase):
    def surprises(self, given, allowed, tiers=3, kind="required"):
        tests = by_id(*(test(test_id, kind) for test_id in given))
        results = {test_id: True if good else ["Assertion", "x"] for test_id, good in given.items()}
        sections = {"all": allowed, "rfc": {}, "default": {}}
        expectations = verdict.read_expectations(sections, "rfc")
        return verdict.surprises(verdict.judge(tests, results), expectations, tiers)

    def test_only_what_is_listed_may_fail_and_it_must(self):
        self.assertEqual(self.surprises({"a": True, "b": False}, {"b": "why"}), [])
        self.assertEqual(self.surprises({"a": False}, {}), ["a (required): fail: Assertion: x"])
        passes = self.surprises({"a": True}, {"a": "why"})
        self.assertEqual(passes, ["a: passes; remove it from expectations.toml"])

    def test_an_entry_that_names_no_gated_test_is_reported(self):
        expected = ["a: in expectations.toml, but no required or optimal test"]
        self.assertEqual(self.surprises({}, {"a": "why"}), expected)
        self.assertEqual(self.surprises({"a": False}, {"a": "why"}, kind="check"), expected)
        self.assertEqual(self.surprises({"a": False}, {}, kind="check"), [])

    def test_an_entry_may_be_limited_to_a_number_of_tiers(self):
        allowed = {"a": {"reason": "why", "tiers": [1]}}
        self.assertEqual(self.surprises({"a": False}, allowed, tiers=1), [])
        self.assertEqual(len(self.surprises({"a": False}, allowed, tiers=3)), 1)
        self.assertEqual(self.surprises({"a": True}, allowed, tiers=3), [])

    def test_a_profile_has_the_shared_entries_and_its_own(self):
        sections = {"all": {"a": "why"}, "rfc": {"b": "why"}, "default": {"c": "why"}}
        self.assertEqual(set(verdict.read_expectations(sections, "rfc")), {"a", "b"})
        self.assertEqual(set(verdict.read_expectations(sections, "default")), {"a", "c"})

    def test_a_file_of_another_form_is_refused(self):
        cases = [
            ({"rfc": {}, "default": {}}, "a section is missing"),
            ({"all": {}, "rfc": {}, "default": {}, "rcf": {}}, "a section is unknown"),
            ({"all": {"a": ""}, "rfc": {}, "default": {}}, "no reason"),
            ({"all": {"a": {"tiers": [1]}}, "rfc": {}, "default": {}}, "no reason"),
            ({"all": {"a": {"reason": "x", "tiers": [2]}}, "rfc": {}, "default": {}}, "two tiers"),
            ({"all": {"a": {"reason": "x", "tier": 1}}, "rfc": {}, "default": {}}, "unknown key"),
            ({"all": {"a": "x"}, "rfc": {"a": "x"}, "default": {}}, "listed twice"),
        ]
        for sections, why in cases:
            with self.subTest(why=why), self.assertRaises(ValueError):
                verdict.read_expectations(sections, "rfc")


if __name__ == "__main__":
    unittest.main()
