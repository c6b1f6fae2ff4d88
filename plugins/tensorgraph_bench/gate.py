"""Decides from times of base and head, taken in turns, whether the head is slower."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

SLOWER, FASTER, SAME, UNCLEAR = "slower", "faster", "same", "unclear"


class Rule(NamedTuple):
    """When a difference counts.

    tolerance   the part by which the head may be slower: 0.05 is 5 %
    floor       seconds; smaller differences do not count, whatever the ratio
    confidence  of the interval of the ratio
    rounds      after which what is clear is decided, and again after as many; each has a process
                of base and one of head
    most        rounds, for what is unclear until then

    So a case is looked at three times at most, and one that is as slow as the tolerance allows is
    called slower with a probability of 1 %, whatever the noise; one that is as fast, of less.
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
    ratios = [h / b for b, h in zip(base, head, strict=True)]
    ratio, low, high = interval(ratios, rule.confidence)
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


class Interval(NamedTuple):
    middle: float
    low: float
    high: float


def interval(values: Sequence[float], confidence: float) -> Interval:
    """The median and an interval around it: from one of the sorted values to another, since as many
    lie below the true median as coins of that number show heads (Thompson, Annals of Mathematical
    Statistics 7, 1936). So nothing is asked of the noise but that it makes a value too large as
    often as too small, however much. The interval of too few values is all numbers."""
    n, ordered = len(values), sorted(values)
    left_out, beyond = 0, 1  # of 2**n
    while beyond <= (1 - confidence) / 2 * 2**n:
        left_out += 1
        beyond += math.comb(n, left_out)
    if not left_out:
        return Interval(statistics.median(ordered), -math.inf, math.inf)
    return Interval(statistics.median(ordered), ordered[left_out - 1], ordered[-left_out])


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
        if rounds == 0 or rounds % self.rule.rounds:
            return True
        return rounds < self.rule.most and self.judgement.verdict == UNCLEAR
