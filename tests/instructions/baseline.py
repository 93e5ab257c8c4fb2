"""Is a kind dearer than it was? The committed figures, and the rule by which others are compared with them.

Compilers, C libraries and processors differ between machines, so that counts are not compared as they are: each
is divided by the yardstick, a loop that no change of this repository alters, counted in the same run. That *ratio* is compared:

- above baseline x (1 + tolerance): dearer, which fails;
- below baseline / (1 + 2 x tolerance): cheaper, which is said, so that the baseline follows;
- a kind without a baseline, or a baseline without its kind: fails, since nobody would look at it.
"""

import json
import os

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "baseline.json")
ABOUT = ("Instructions of one request or step, and of the yardstick of the same run. What is compared is each count divided by "
         "the yardstick, with itself: see docs/instruction-tests.md. Written by tests/instructions/run.py --update; "
         "tolerance_percent is kept.")
HELD, DEARER, CHEAPER, UNKNOWN = "held", "dearer", "cheaper", "unknown"


def load(path=PATH):
    """The baseline; an empty one where there is none yet."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {"yardstick": 1, "made_with": {}, "kinds": {}}


class Compared:
    """One kind beside its baseline."""

    def __init__(self, name, count, yardstick, base, default):
        """`count` and `yardstick` of this run, `default` tolerance in percent of kinds that have none of their own."""
        self.name, self.count, self.ratio = name, count, count / yardstick
        kept = base["kinds"].get(name)
        self.tolerance = (kept or {}).get("tolerance_percent", default)
        self.was = kept["instructions"] / base["yardstick"] if kept else None

    @property
    def change(self):
        """Percent that it is dearer; below zero where it is cheaper."""
        return (self.ratio / self.was - 1) * 100

    @property
    def verdict(self):
        if self.was is None:
            return UNKNOWN
        if self.ratio > self.was * (1 + self.tolerance / 100):
            return DEARER
        if self.ratio < self.was / (1 + 2 * self.tolerance / 100):
            return CHEAPER
        return HELD

    def __str__(self):
        change = "" if self.was is None else f", {self.change:+.1f} %"
        return f"{self.count:.0f} ({self.ratio:.3f}{change})"

    def complaint(self):
        """What is broken, and what to do about it; nothing unless it fails."""
        if self.verdict == UNKNOWN:
            return f"{self.name} has no baseline: add it with --update"
        if self.verdict != DEARER:
            return ""
        return (f"{self.name} costs at most {self.tolerance:g} % more than its baseline, and not {self.change:+.1f} %: "
                f"{self.count:.0f} instructions, {self.ratio:.3f} of the yardstick instead of {self.was:.3f}. "
                "If that is wanted, run this with --update and give the reason in the commit message")


def updated(base, counts, yardstick, made_with):
    """The baseline with these counts in place of those of the same kinds, and the tolerances it had.

    Kinds that were not counted keep their ratio: their counts follow the new yardstick.
    """
    scale = yardstick / base["yardstick"]
    kinds = {name: {**kept, "instructions": round(kept["instructions"] * scale)} for name, kept in base["kinds"].items()}
    for name, count in counts.items():
        kinds[name] = {**kinds.get(name, {}), "instructions": round(count)}
    return {"about": ABOUT, "made_with": made_with, "yardstick": round(yardstick), "kinds": kinds}


def write(base, path=PATH):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(base, file, indent=2)
        file.write("\n")
