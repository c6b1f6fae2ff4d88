"""Decides from times of base and head, taken in turns, whether the head is slower."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from tensorgraph_bench.interval import interval

SLOWER, FASTER, SAME, UNCLEAR = "slower", "faster", "same", "unclear"


class Rule(NamedTuple):
    """When a difference counts.

    tolerance   the part by which the head may be slower: 0.05 is 5 %
    floor       seconds; smaller differences do not count, whatever the ratio
    confidence  of the interval of the ratio
    rounds      after which the first answers are given; each has a process of base and one of head
    most        rounds, for what is unclear by then
    """

    tolerance: float = 0.05
    floor: float = 1e-6
    confidence: float = 0.98
    rounds: int = 8
    most: int = 24


class Judgement(NamedTuple):
    """The verdict, the ratio of head to base with its interval, the median seconds of each; and
    why, where the interval does not say it."""

    verdict: str
    ratio: float
    low: float
    high: float
    base: float
    head: float
    why: str = ""


def judge(base: Sequence[float], head: Sequence[float], rule: Rule) -> Judgement:
    """From the seconds of as many rounds of each.

    What is compared with the tolerance is the whole interval: the head is slower if all of it lies
    above, and the same, or faster, if all of it lies below. Else it is not clear, and more rounds
    may tell. So a false alarm takes an error of the tolerance and half the interval's width.
    """
    logs = [math.log(h / b) for b, h in zip(base, head, strict=True)]
    ratio, low, high = map(math.exp, interval(logs, rule.confidence))
    middles = statistics.median(base), statistics.median(head)
    verdict, why = UNCLEAR, ""
    if low > 1 + rule.tolerance:
        verdict = SLOWER
    elif high < 1 / (1 + rule.tolerance):
        verdict = FASTER
    elif high < 1 + rule.tolerance:
        verdict = SAME
    apart = middles[0] * abs(ratio - 1)
    if verdict != SAME and apart < rule.floor and math.isfinite(high):
        verdict, why = SAME, f"less than {rule.floor * 1e6:g} µs apart"
    return Judgement(verdict, ratio, low, high, *middles, why)


@dataclasses.dataclass
class Comparison:
    """The times of a case, a pair in each round, and what they say so far."""

    name: str
    rule: Rule
    base: list[float] = dataclasses.field(default_factory=list)
    head: list[float] = dataclasses.field(default_factory=list)

    @property
    def judgement(self) -> Judgement:
        return judge(self.base, self.head, self.rule)

    def open(self) -> bool:
        """Whether another round is wanted."""
        rounds = len(self.base)
        if rounds < self.rule.rounds:
            return True
        return rounds < self.rule.most and self.judgement.verdict == UNCLEAR
