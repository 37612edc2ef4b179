"""Reads docs/benchmarks/robustness.json, for its tables and its plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Accuracy:
    """Of one rule in one situation, over the seeds.

    Attributes:
        mean: of them.
        low: the worst.
        high: the best.
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Accuracy:
        """Sum up the seeds."""
        return cls(fmean(values), min(values), max(values))

    def __str__(self) -> str:
        """Mean, worst and best."""
        return f"{self.mean:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class Curve:
    """One rule against more and more liars.

    Attributes:
        rule: its name.
        points: number of liars to accuracy.
    """

    rule: str
    points: Mapping[int, Accuracy]


class Measured:
    """All accuracies of one federation.

    Attributes:
        title: of the federation.
        liars: what they are: devices or stations.
        members: how many of these there are.
        rules: names, in the order of tables and plots.
        attacks: names, without that of no attack.
    """

    def __init__(self, figures: Figures, federation: str) -> None:
        """Read one federation of the file."""
        about = figures["federations"][federation]
        self.title: str = about["title"]
        self.liars: str = about["liars"]
        self.members: int = about["members"]
        self.rules: Mapping[str, str] = about["rules"]
        runs = [run for run in figures["runs"] if run["federation"] == federation]
        self._all = {(run["rule"], run["attack"], run["liars"]): Accuracy.of(run["accuracy"]) for run in runs}
        (self.nobody,) = {run["attack"] for run in runs if not run["liars"]}
        self.attacks = tuple(dict.fromkeys(run["attack"] for run in runs if run["liars"]))

    def at(self, rule: str, attack: str, liars: int) -> Accuracy | None:
        """Return one accuracy; without liars it is the same under every attack. None if it wasn't measured."""
        return self._all.get((rule, attack if liars else self.nobody, liars))

    def counts(self) -> tuple[int, ...]:
        """Return the numbers of liars, zero first."""
        return tuple(sorted({liars for _, _, liars in self._all}))

    def curves(self, attack: str) -> tuple[Curve, ...]:
        """Return every rule under one attack."""
        return tuple(
            Curve(rule, {n: found for n in self.counts() if (found := self.at(rule, attack, n))}) for rule in self.rules
        )

    def grid(self) -> tuple[list[str], list[list[str]]]:
        """Return the headings and rows of a table: a situation per row, a rule per column."""
        cases = [(self.nobody, 0), *((attack, n) for attack in self.attacks for n in self.counts() if n)]
        rows = [
            [
                f"{attack}, {n} of {self.members}" if n else attack,
                *(str(found) if (found := self.at(rule, attack, n)) else "–" for rule in self.rules),
            ]
            for attack, n in cases
        ]
        return ["", *self.rules], rows
