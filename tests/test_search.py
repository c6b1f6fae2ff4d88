"""Search: ranges, what is drawn from them, rounds, and how much each key matters."""

import math
import sys
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tensorgraph_search import mattered, searching
from tensorgraph_search.engines import ENGINES
from tensorgraph_search.space import Choice, Range, put, space
from tensorgraph_search.trial import Trial

from tensorgraph.errors import ConfigError


@given(st.integers(0, 10**6), st.integers(1, 50), st.integers(1, 1000))
def test_a_range_gives_values_within_it(seed, low, more):
    high = low + more
    for one in (Range(low / 7, high / 7), Range(low / 7, high / 7, log=True)):
        assert one.low <= one.draw(Random(seed)) <= one.high
    for one in (Range(low, high, whole=True), Range(low, high, log=True, whole=True)):
        value = one.draw(Random(seed))
        assert isinstance(value, int) and low <= value <= high


def drawn(one, n=3000):
    return [ENGINES["random"]({"a.b": one}, 3, i, ())["a.b"] for i in range(n)]


def test_what_is_drawn_is_distributed_as_said():
    """Beside SciPy's distributions; a whole logarithmic k has the interval k ± 1/2."""
    assert stats.kstest(drawn(Range(2.0, 5.0)), stats.uniform(2, 3).cdf).pvalue > 0.01
    logarithmic = drawn(Range(1e-4, 1.0, log=True))
    assert stats.kstest(logarithmic, stats.loguniform(1e-4, 1).cdf).pvalue > 0.01
    edges = np.arange(0.5, 9)
    for one, p in (
        (Range(1, 8, whole=True), np.full(8, 1 / 8)),
        (Range(1, 8, log=True, whole=True), np.diff(np.log(edges)) / np.log(8.5 / 0.5)),
        (Choice(tuple(range(1, 9))), np.full(8, 1 / 8)),
    ):
        counts = np.bincount(drawn(one), minlength=9)[1:]
        assert stats.chisquare(counts, 3000 * p).pvalue > 0.01


def test_a_trial_depends_on_its_seed_and_number_alone():
    over = {"train.optimizer.lr": {"low": 0.1, "high": 1.0}, "train.batch_size": [1, 2, 3]}
    keys = space(over)
    short, long = ([ENGINES["random"](keys, 0, i, ()) for i in range(n)] for n in (3, 9))
    assert long[:3] == short
    assert ENGINES["random"](keys, 1, 0, ()) != short[0]
    one = "train.batch_size"
    assert ENGINES["random"]({one: keys[one]}, 0, 1, ())[one] == short[1][one]


def test_keys_are_written_with_and_without_quotes():
    table = {"train": {"optimizer": {"lr": {"low": 0.1, "high": 1}}}, "model.dropout": [0, 0.5]}
    assert space(table) == {
        "train.optimizer.lr": Range(0.1, 1),
        "model.dropout": Choice((0, 0.5)),
    }


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "no key to search over"),
        ({"train": {"lr": 3}}, "search.over.train.lr = 3; it takes a list of values"),
        ({"train": {"lr": [3]}}, "train.lr = [3]; a choice takes at least two values, each once"),
        ({"train": {"lr": [3, 3]}}, "train.lr = [3, 3]; a choice takes at least two values"),
        ({"train": {"lr": {"low": 1, "high": 1}}}, "{low = 1, high = 1}; low must be below high"),
        ({"train": {"lr": {"low": "a", "high": 1}}}, "{low = 'a', high = 1}; low takes a number"),
        ({"train": {"lr": {"low": 0, "high": math.inf}}}, "high takes a number"),
        (
            {"train": {"lr": {"low": 0, "high": 1, "log": True}}},
            "{low = 0, high = 1, log = true}; with log = true low must be above 0",
        ),
        (
            {"train": {"lr": {"low": 0.5, "high": 2, "whole": True}}},
            "whole = true}; both ends must be whole numbers",
        ),
        ({"train": {"lr": {"low": 1, "high": 2, "log": 1}}}, "log and whole take true or false"),
        ({"train": {"lr": {"low": 1, "high": 2, "lgo": True}}}, "it takes a list of values, or"),
        ({"lr": [1, 2]}, "lr is not a key of a run file: section.key"),
    ],
)
def test_a_range_that_is_none_is_refused(table, words):
    with pytest.raises(ConfigError) as error:
        space(table)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("asked", "rounds"),
    [
        ({"trials": 7}, [(27, 7)]),
        ({"trials": 27, "halving": 3}, [(1, 27), (3, 9), (9, 3), (27, 1)]),
        ({"trials": 10, "halving": 3}, [(3, 10), (9, 3), (27, 1)]),
    ],
)
def test_each_round_of_halving_is_of_fewer_trials_and_more_epochs(asked, rounds):
    over = {"train.batch_size": [1, 2]}
    found = searching.plan({"train": {"epochs": 27}, "search": {**asked, "over": over}})
    assert found.rounds() == rounds


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "no section [search]"),
        ({"search": {"trails": 3}}, "no key search.trails. Known: trials, engine"),
        ({"search": {"trials": 0}}, "search.trials = 0; it takes a whole number, at least 1"),
        (
            {"train": {"epochs": 9}, "search": {"halving": 3, "trials": 2}},
            "search.halving = 3; it takes at least so many trials and epochs, and there are 2",
        ),
        ({"search": {"halving": 1}}, "search.halving = 1; it takes a whole number, at least 2"),
        ({"search": {"engine": "grid"}}, "search.engine = 'grid'; it takes one of random, optuna"),
        ({"search": {}}, "set train.epochs"),
        (
            {"train": {"epochs": 3}, "search": {"over": {"train.epochs": [1, 2]}}},
            "train.epochs is what the search itself sets",
        ),
    ],
)
def test_a_mistake_in_the_section_is_said(table, words):
    with pytest.raises(ConfigError) as error:
        searching.plan(table)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("train.optimizer.lr", 1, {"train": {"optimizer": {"name": "sgd", "lr": 1}}}),
        ("model.name", "other", {"model": {"name": "other"}}),
        ("model.name", "mlp", {"model": {"name": "mlp", "dropout": 0.1}}),
        ("transfer.freeze", ["conv1"], {"transfer": {"freeze": ["conv1"]}}),
        ("transfer.lr.layer1", 0.5, {"transfer": {"lr": {"layer1": 0.5}}}),
        ("train.augment.blur.p", 1, {"train": {"augment": ["erase", {"name": "blur", "p": 1}]}}),
        (
            "train.augment.erase.p",
            1,
            {"train": {"augment": [{"name": "erase", "p": 1}, {"name": "blur", "p": 0}]}},
        ),
    ],
)
def test_a_value_is_put_where_the_run_file_has_its_key(key, value, found):
    table = {
        "model": {"name": "mlp", "dropout": 0.1},
        "train": {"optimizer": "sgd", "augment": ["erase", {"name": "blur", "p": 0}]},
    }
    put(table, key, value)
    for section, inner in found.items():
        assert {k: table[section][k] for k in inner} == inner
        assert section != "model" or table[section] == inner


def test_what_the_run_file_lacks_cannot_be_changed():
    with pytest.raises(
        ConfigError, match=r"search\.over\.train\.augment\.crop\.size: the run file"
    ):
        put({"train": {"augment": ["blur"]}}, "train.augment.crop.size", 3)


def trials(goodness, **values):
    return [
        Trial(i + 1, 5, {key: column[i] for key, column in values.items()}, "", "auc", g)
        for i, g in enumerate(goodness)
    ]


def test_the_share_of_a_key_is_that_of_kruskal_and_wallis():
    """ε² of SciPy's H; one trial failed, and two are equal."""
    goodness = [1.0, None, 2.5, 2.5, 9.0, 4.0, 5.0, 6.0]
    done = trials(goodness, a=[*"xxxyyzzz"], b=[*"xyxyxyxy"])
    found = mattered.shares(done, {"b": Choice((*"xy",)), "a": Choice((*"xyz",))})
    first, second, third = [1.0, -9.0, 2.5], [2.5, 9.0], [4.0, 5.0, 6.0]
    within = 1 - stats.kruskal(first, second, third).statistic / 7
    assert found["a"] == pytest.approx(1 - within * 7 / (8 - 3))
    assert [*found] == ["a", "b"] and found["b"] == 0


def test_a_key_that_does_nothing_explains_about_nothing():
    random = np.random.default_rng(0)
    rate, other = random.uniform(size=(2, 200))
    done = trials(list(rate**2 + random.normal(0, 0.05, 200)), rate=list(rate), other=list(other))
    found = mattered.shares(done, {"rate": Range(0, 1), "other": Range(0, 1)})
    assert found["rate"] > 0.6 and found["other"] < 0.05


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_gives_the_same_for_the_same(engine):
    if engine == "optuna":
        pytest.importorskip("optuna")
    keys = {"a": Range(0.0, 1.0), "b": Range(1, 64, log=True, whole=True), "c": Choice(("x", [1]))}
    told = [(ENGINES["random"](keys, 0, i, ()), float(-i)) for i in range(15)]
    first, again = (ENGINES[engine](keys, 0, 16, told) for _ in range(2))
    assert first == again
    assert 0 <= first["a"] <= 1 and first["b"] in range(1, 65) and first["c"] in ("x", [1])


def test_optuna_looks_where_trials_were_good():
    pytest.importorskip("optuna")
    keys, told = {"a": Range(0.0, 1.0)}, []
    for i in range(40):
        values = ENGINES["optuna"](keys, 0, i, told)
        told.append((values, -((values["a"] - 0.7) ** 2)))
    late = [values["a"] for values, _ in told[-15:]]
    assert np.mean(np.abs(np.array(late) - 0.7)) < 0.15


@pytest.mark.parametrize(
    ("module", "asked"),
    [
        ("optuna", lambda: ENGINES["optuna"]({"a.b": Range(0, 1)}, 0, 1, ())),
        ("matplotlib", mattered.require_matplotlib),
    ],
)
def test_a_missing_package_is_said_with_its_extra(module, asked, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ConfigError, match=rf"{module} is not installed; pip .*tensorgraph\[search\]"
    ):
        asked()
