"""Does the rule tell dearer from cheaper, on machines that count differently, and does an update keep what it is to keep?"""

import unittest

import baseline

BASE = {"yardstick": 1000, "made_with": {}, "kinds": {
    "hit": {"instructions": 2000}, "miss": {"instructions": 9000, "tolerance_percent": 10}}}


def verdict(name, count, yardstick=1000):
    return baseline.Compared(name, count, yardstick, BASE, 5.0).verdict


class Rule(unittest.TestCase):
    def test_a_kind_is_held_within_its_tolerance(self):
        for name, count, expected in [
                ("hit", 2000, baseline.HELD), ("hit", 2099, baseline.HELD), ("hit", 2101, baseline.DEARER),
                ("hit", 1819, baseline.HELD), ("hit", 1817, baseline.CHEAPER),
                ("miss", 9899, baseline.HELD), ("miss", 9901, baseline.DEARER),
                ("miss", 7501, baseline.HELD), ("miss", 7499, baseline.CHEAPER),
                ("other", 1, baseline.UNKNOWN)]:
            self.assertEqual(verdict(name, count), expected, f"{name} {count}")

    def test_ratios_are_compared_and_not_counts(self):
        self.assertEqual(verdict("hit", 4000, 2000), baseline.HELD)
        self.assertEqual(verdict("hit", 2000, 900), baseline.DEARER)

    def test_a_complaint_says_which_by_how_much_and_what_to_do(self):
        complaint = baseline.Compared("hit", 2500, 1000, BASE, 5.0).complaint()
        for part in ("hit", "+25.0 %", "5 %", "--update", "commit message"):
            self.assertIn(part, complaint)
        self.assertEqual(baseline.Compared("hit", 1000, 1000, BASE, 5.0).complaint(), "")
        self.assertIn("--update", baseline.Compared("other", 1, 1, BASE, 5.0).complaint())

    def test_an_update_keeps_tolerances_and_what_was_not_counted(self):
        after = baseline.updated(BASE, {"hit": 4400.4, "new": 10}, 2000, {"rustc": "x"})
        self.assertEqual(after["kinds"]["hit"], {"instructions": 4400})
        self.assertEqual(after["kinds"]["miss"], {"instructions": 18000, "tolerance_percent": 10})
        self.assertEqual(after["kinds"]["new"], {"instructions": 10})
        self.assertEqual((after["yardstick"], after["made_with"]), (2000, {"rustc": "x"}))


if __name__ == "__main__":
    unittest.main()
