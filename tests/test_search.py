"""tensorgraph search: what is drawn, which trials go on, resumption, and the share of each key."""

import csv
import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorgraph_search import mattered, searching
from tensorgraph_search.engines import ENGINES
from tensorgraph_search.space import Choice, Range, space
from tensorgraph_search.trial import Trial
from training_help import command

from tensorgraph.errors import ConfigError

RUN = """
[data]
name = "digits"

[model]
name = "small"

[train]
epochs = 4
callbacks = ["history"]

[search]
trials = 4
halving = 2

[search.over]
train.optimizer.lr = {low = 1e-5, high = 1e-1, log = true}
"model.hidden" = {low = 4, high = 16, whole = true}
train.batch_size = [32, 64]
"""


@given(st.integers(0, 10**6), st.floats(1e-6, 1e3), st.floats(1.001, 1e6))
def test_a_range_gives_values_within_it(seed, low, factor):
    high = low * factor
    for one in (Range(low, high), Range(low, high, log=True)):
        assert low <= one.draw(Random(seed)) <= high


def test_whole_numbers_and_powers_of_ten_are_equally_likely():
    whole = [Range(1, 4, whole=True).draw(Random(i)) for i in range(4000)]
    assert {*whole} == {1, 2, 3, 4}
    assert min(whole.count(i) for i in range(1, 5)) > 900
    logarithmic = [math.log10(Range(1e-4, 1, log=True).draw(Random(i))) for i in range(4000)]
    counts, _ = np.histogram(logarithmic, bins=4, range=(-4, 0))
    assert counts.min() > 900


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
        ({"train": {"lr": [3]}}, "it takes a list of values"),
        ({"train": {"lr": {"low": 1, "high": 1}}}, "low = "),
        ({"train": {"lr": {"low": 0, "high": 1, "log": True}}}, "'log': True"),
        ({"train": {"lr": {"low": 0.5, "high": 2, "whole": True}}}, "'whole': True"),
        ({"train": {"lr": {"low": 1, "high": 2, "lgo": True}}}, "'lgo'"),
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
        ({"trials": 2, "halving": 3}, [(27, 2)]),
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


def trials(goodness, **values):
    return [
        Trial(i + 1, 5, {key: column[i] for key, column in values.items()}, "", "auc", g, True, 1.0)
        for i, g in enumerate(goodness)
    ]


def test_the_share_of_a_key_is_that_of_an_analysis_of_variance():
    """ε² by hand: groups (1, 3) and (5, 7): total 20, within 4, 1 - (4 / 2) / (20 / 3)."""
    done = trials([1.0, 3.0, 5.0, 7.0], a=["x", "x", "y", "y"], b=["x", "y", "y", "x"])
    keys = {"b": Choice(("x", "y")), "a": Choice(("x", "y"))}
    found = mattered.shares(done, keys)
    assert found == {"a": pytest.approx(0.7), "b": 0.0}
    assert [*found] == ["a", "b"]


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


def test_a_search_is_resumed_and_leaves_a_table_a_picture_and_the_best(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text(RUN)
    assert command("search", "run.toml", "--out", "out") == 0
    shown = capsys.readouterr().out
    assert "7/7" in shown and "what mattered" in shown
    with Path("out/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epochs"]) for row in rows] == [4, 2, 2, 1, 1, 1, 1]
    assert all(row["metric"] == rows[0]["metric"] for row in rows)
    values = {(row["trial"], row["train.optimizer.lr"], row["model.hidden"]) for row in rows}
    assert len(values) == 4, "a trial keeps its values from round to round"
    best = Path("out/best.toml").read_text()
    assert f"lr = {rows[0]['train.optimizer.lr']}" in best
    assert f"hidden = {rows[0]['model.hidden']}" in best
    assert Path("out/mattered.png").stat().st_size > 5000

    history = {path: path.stat().st_mtime_ns for path in Path("out").glob("*/history.jsonl")}
    (Path("out") / rows[0]["folder"] / "evaluation.json").unlink()  # as if stopped in the last
    table = Path("out/results.csv").read_text()
    assert command("search", "--resume", "--out", "out") == 0
    assert Path("out/results.csv").read_text() == table
    changed = [p for p, then in history.items() if p.stat().st_mtime_ns != then]
    assert [p.parent.name for p in changed] in ([], [rows[0]["folder"]])


def test_a_trial_that_diverges_is_noted_and_the_search_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = (
        RUN.replace("halving = 2", "").replace("trials = 4", "trials = 6").replace("= 4\n", "= 1\n")
    )
    head = run.partition("[search.over]")[0]
    Path("run.toml").write_text(head + '[search.over]\nmodel.name = ["small", "explodes"]\n')
    assert command("search", "run.toml", "--out", "out") == 0
    assert "failed" in capsys.readouterr().out
    with Path("out/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    said = {row["model.name"]: row["value"] for row in rows}
    assert said["small"] and not said["explodes"]
    assert rows[-1]["model.name"] == "explodes"
    assert "the loss is" in (Path("out") / rows[-1]["folder"] / "failed.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("search",), "give a run file with a section [search]"),
        (("search", "none.toml"), "run file none.toml: there is no such file"),
        (("search", "--resume", "--out", "none"), "say which search to go on with"),
        (("search", "plain.toml"), "no section [search]"),
        (("search", "wrong.toml", "--out", "a"), "no key train.epoch"),
    ],
)
def test_a_mistake_is_one_message(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("plain.toml").write_text("[train]\nepochs = 1\n")
    Path("wrong.toml").write_text(RUN + "train.epoch = [1, 2]\n")
    assert command(*arguments) == 2
    assert words in capsys.readouterr().err
