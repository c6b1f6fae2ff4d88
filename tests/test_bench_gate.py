"""The regression gate: its interval, its rule, and how often it errs on noise made for that."""

import math
import random

import numpy as np
import pytest
from tensorgraph_bench import against
from tensorgraph_bench.gate import FASTER, SAME, SLOWER, UNCLEAR, Comparison, Rule, interval, judge

from tensorgraph.errors import BackendError, ConfigError

# The interval


@pytest.mark.parametrize("confidence", [0.9, 0.98])
@pytest.mark.parametrize("n", [7, 8, 16, 23, 24])
def test_the_interval_is_that_of_the_sign_test(n, confidence):
    from scipy.stats import quantile_test

    x = np.random.default_rng(n).standard_t(1.5, n)
    expected = quantile_test(x, q=0.0, p=0.5).confidence_interval(confidence)
    assert interval(list(x), confidence) == pytest.approx((np.median(x), *expected))


def test_too_few_values_allow_no_confidence():
    assert interval([0.1, 0.2, 0.3], 0.98) == (0.2, -math.inf, math.inf)
    assert interval([1.0] * 6, 0.98)[1:] == (-math.inf, math.inf)
    assert interval([1.0] * 7, 0.98) == (1.0, 1.0, 1.0)


def test_any_noise_is_seldom_called_slower():
    """By a factor of ten either way, where the tolerance is nothing: 1 % in three looks."""
    rng, slower = random.Random(3), 0
    for _ in range(2000):
        tried = Comparison("noise", Rule(tolerance=1e-9, floor=0.0))
        while tried.open():
            tried.base.append(math.exp(rng.gauss(0, 1.6)))
            tried.head.append(math.exp(rng.gauss(0, 1.6)))
        slower += tried.judgement.verdict == SLOWER
    assert slower <= 30


# The rule


def pairs(ratio, n=8, base=1e-3, noise=0.01):
    wobble = [1 + noise * ((i * 7 % n) / n - 0.5) for i in range(n)]
    return [base] * n, [base * ratio * w for w in wobble]


@pytest.mark.parametrize(
    ("ratio", "noise", "verdict"),
    [
        (1.0, 0.01, SAME), (1.03, 0.01, SAME), (0.97, 0.01, SAME),
        (1.15, 0.01, SLOWER), (1.06, 0.01, SLOWER), (1.06, 0.1, UNCLEAR), (1.0, 0.5, UNCLEAR),
        (0.9, 0.01, FASTER), (0.5, 0.1, FASTER),
    ],
)  # fmt: skip
def test_the_whole_interval_is_compared_with_the_tolerance(ratio, noise, verdict):
    found = judge(*pairs(ratio, noise=noise), Rule())
    assert found.verdict == verdict
    assert found.ratio == pytest.approx(ratio, rel=noise)
    assert found.low <= found.ratio <= found.high


def test_differences_below_the_floor_do_not_count():
    base, head = pairs(1.3, base=2e-6)
    assert judge(base, head, Rule(floor=0.0)).verdict == SLOWER
    found = judge(base, head, Rule(floor=1e-6))
    assert (found.verdict, found.why) == (SAME, "less than 1 µs apart")
    assert judge(*pairs(1.3, base=1e-5), Rule(floor=1e-6)).verdict == SLOWER


def test_one_wild_round_changes_nothing():
    base, head = pairs(1.0, n=16)
    head[3] *= 40
    assert judge(base, head, Rule()).verdict == SAME
    base, head = pairs(1.15, n=16)
    base[5] *= 40
    assert judge(base, head, Rule()).verdict == SLOWER


# Noise


def simulated(ratio, seed, rule=Rule()):  # noqa: B008
    """The verdict on a machine whose speed drifts, whose processes differ by 2 % as they happen to
    lie in memory, and whose turns are disturbed now and then, by up to several times their length.
    """
    rng = random.Random(seed)
    speed, tried = 1.0, Comparison("made up", rule)
    while tried.open():
        sides = [rng.gauss(1, 0.02) for _ in range(2)]
        best = [math.inf, math.inf]
        for side in against.TURNS:
            speed *= math.exp(rng.gauss(0, 0.01))
            disturbed = rng.paretovariate(1.5) if rng.random() < 0.2 else 1.0
            took = 1e-3 * speed * sides[side] * disturbed * math.exp(abs(rng.gauss(0, 0.01)))
            best[side] = min(best[side], took * (ratio if side else 1.0))
        tried.base.append(best[0])
        tried.head.append(best[1])
    return tried.judgement.verdict


def test_noise_alone_is_hardly_ever_called_slower():
    verdicts = [simulated(1.0, seed) for seed in range(300)]
    assert verdicts.count(SLOWER) <= 3  # 1 %, where 5 % would do
    assert verdicts.count(SAME) >= 290, "and it is mostly said that nothing changed"


def test_a_kernel_that_takes_15_percent_longer_is_nearly_always_caught():
    verdicts = [simulated(1.15, seed) for seed in range(300)]
    assert verdicts.count(SLOWER) >= 294


def test_the_simulation_would_catch_a_rule_without_tolerance():
    hasty = Rule(tolerance=0.0, confidence=0.5, rounds=3, most=24)
    verdicts = [simulated(1.0, seed, hasty) for seed in range(100)]
    assert verdicts.count(SLOWER) > 20


# The rounds


class Scripted:
    """Stands for a worker: the times of its cases are given, by round."""

    log: list[tuple[str, int]] = []  # noqa: RUF012
    started = 0

    def __init__(self, side):
        self.side = side
        Scripted.started += 1

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def alive(self):
        return self.side.alive

    def select(self, selection):
        return list(self.side.cases)

    def turn(self, name, seconds, pace, verify):
        Scripted.log.append((self.side.name, name, verify))
        number = (Scripted.started - 1) // 2
        took = self.side.cases[name](number)
        if isinstance(took, str):
            self.side.alive = "ended" not in took
            raise BackendError(f"{self.side.name}: {took}")
        return took, [10, 3]


class Script:
    def __init__(self, name, **cases):
        self.name, self.cases, self.alive = name, cases, True


@pytest.fixture
def compare(monkeypatch):
    """Compares two scripts; what was asked in turn."""
    monkeypatch.setattr(against, "Process", Scripted)
    Scripted.log, Scripted.started = [], 0

    def run(base, head, rule=Rule()):  # noqa: B008
        sides = Script("base", **base), Script("head", **head)
        return against.compare(sides, None, rule, lambda text: None), Scripted.log

    return run


def test_rounds_alternate_and_only_the_unclear_has_more(compare):
    def steady(number):
        return 1e-3 * (1 + 0.001 * (number % 3))

    def wild(number):
        return 1e-3 * (1.6 if number % 2 else 1.0)

    outcome, log = compare({"a": steady, "b": steady}, {"a": steady, "b": wild})
    found = {each.name: each for each in outcome.comparisons}
    assert len(found["a"].base) == 8 and found["a"].judgement.verdict == SAME
    assert len(found["b"].base) == 24 and found["b"].judgement.verdict == UNCLEAR
    assert outcome.status == 0, "what is unclear is no regression"
    order = [side for side, name, _ in log if name == "a"]
    first = ["base", "head", "head", "base", "head", "base", "base", "head"]
    assert order[:16] == [*first, *reversed(first)], "every other round begins with the head"
    assert [verify for *_, verify in log] == [True] * 16 + [False] * (len(log) - 16)


def test_a_slower_case_is_status_1(compare):
    outcome, _ = compare({"a": lambda i: 1e-3}, {"a": lambda i: 1.2e-3})
    assert [each.judgement.verdict for each in outcome.comparisons] == [SLOWER]
    assert outcome.status == 1
    assert outcome.as_json()["comparisons"][0]["ratio"] == pytest.approx(1.2)


def test_cases_of_one_side_are_noted(compare):
    outcome, _ = compare(
        {"a": lambda i: 1e-3, "old": lambda i: 1e-3}, {"a": lambda i: 1e-3, "new": lambda i: 1e-3}
    )
    assert outcome.notes == ["only in base: old", "only in head: new"]
    assert [each.name for each in outcome.comparisons] == ["a"] and outcome.status == 0


def test_what_the_head_gets_wrong_is_a_regression(compare):
    outcome, _ = compare(
        {"a": lambda i: 1e-3, "b": lambda i: 1e-3},
        {"a": lambda i: "BackendError: its values differ", "b": lambda i: 1e-3},
    )
    assert outcome.failures == ["head: BackendError: its values differ"]
    assert [each.name for each in outcome.comparisons] == ["b"] and outcome.status == 1
    outcome, _ = compare(
        {"a": lambda i: "it was wrong", "b": lambda i: 1e-3},
        {"a": lambda i: 1e-3, "b": lambda i: 1e-3},
    )
    assert outcome.notes == ["base: it was wrong"] and outcome.status == 0


def test_a_process_that_dies_takes_only_its_case_along(compare):
    def dies(number):
        return "its process ended with status -11"

    outcome, log = compare(
        {"a": lambda i: 1e-3, "b": dies, "c": lambda i: 1e-3},
        {"a": lambda i: 1e-3, "b": lambda i: 1e-3, "c": lambda i: 1e-3},
    )
    assert outcome.notes == ["base: its process ended with status -11"]
    assert [each.name for each in outcome.comparisons] == ["a", "c"]
    assert all(len(each.base) == 8 for each in outcome.comparisons)
    assert [verify for _, name, verify in log if name == "c"][:9] == [True] * 8 + [False]


def test_nothing_in_common(compare):
    with pytest.raises(ConfigError, match="--against: base and head have no case in common"):
        compare({"a": lambda i: 1e-3}, {"b": lambda i: 1e-3})
