"""tensorgraph compare: McNemar's and DeLong's tests of two runs, and the runs that are refused."""

import csv
import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tensorgraph_metrics import paired
from training_help import command

import tensorgraph as tg

FEW = st.integers(0, 60)


@given(FEW, FEW)
def test_mcnemar_agrees_with_scipys_binomial_test(first_only, second_only):
    n = first_only + second_only
    want = stats.binomtest(first_only, n).pvalue if n else 1.0
    assert paired.mcnemar(first_only, second_only) == pytest.approx(want, abs=1e-9)


def test_mcnemar_of_many_images_does_not_overflow():
    assert paired.mcnemar(10_000, 10_400) == pytest.approx(
        stats.binomtest(10_000, 20_400).pvalue, rel=1e-6
    )


def right(first_only, second_only, both, neither):
    """Whether each of two models has each image right."""
    first = [1] * first_only + [0] * second_only + [1] * both + [0] * neither
    second = [0] * first_only + [1] * second_only + [1] * both + [0] * neither
    return np.array(first, float), np.array(second, float)


def test_the_interval_of_a_difference_of_accuracies():
    """Bonett and Price (2012) by hand: of 100 images 5 and 15 that only one has right: adjusted
    shares 6 / 102 and 16 / 102."""
    row = paired._shares(*right(5, 15, 60, 20))
    difference = 10 / 102
    half = 1.959964 * np.sqrt((22 / 102 - difference**2) / 102)
    assert row["difference"] == pytest.approx(0.1)
    assert (row["low"], row["high"]) == pytest.approx((difference - half, difference + half), 1e-5)
    assert (row["first_only"], row["second_only"]) == (5, 15)
    assert row["p"] == pytest.approx(stats.binomtest(5, 20).pvalue)


@pytest.mark.slow
def test_the_interval_covers_the_truth():
    generator, inside = np.random.default_rng(0), 0
    for _ in range(2000):
        first_only, second_only, both, neither = generator.multinomial(80, [0.05, 0.15, 0.7, 0.1])
        row = paired._shares(*right(first_only, second_only, both, neither))
        inside += row["low"] <= 0.1 <= row["high"]
    assert 0.93 < inside / 2000 < 0.98


def test_swapping_answers_agrees_with_mcnemar_and_counts_patients_once():
    first, second = right(4, 14, 60, 22)
    alone = paired._means("accuracy", first, second, np.arange(100))
    assert alone["p"] == pytest.approx(paired.mcnemar(4, 14), abs=0.01)
    many = np.repeat(np.arange(100), 8)
    patients = paired._means("accuracy", first[many], second[many], many)
    assert patients["p"] == pytest.approx(alone["p"], abs=0.01)
    width = alone["high"] - alone["low"]
    assert patients["high"] - patients["low"] == pytest.approx(width, rel=0.1)
    assert paired._shares(first[many], second[many])["p"] < alone["p"] / 1000, "as if independent"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs on the digits."""
    folder = tmp_path_factory.mktemp("runs")
    for name, model, seed in (("a", "neuron", 0), ("b", "mlp", 1)):
        options = ("--model", model, "--epochs", "2", "--seed", seed, "--out", folder / name)
        assert command("train", *options, "--set", "train.compile=false") == 0
    return folder


def test_two_runs(runs, capsys):
    assert command("compare", runs / "a", runs / "b", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    evaluations = [json.loads((runs / x / "evaluation.json").read_text()) for x in "ab"]
    for row in found["differences"]:
        values = [e["metrics"][row["metric"]]["value"] for e in evaluations]
        assert [row["first"], row["second"]] == pytest.approx(values)
        assert row["low"] < row["difference"] < row["high"]
    assert [row["metric"] for row in found["differences"]] == ["auc", "accuracy"]
    assert command("compare", runs / "b", runs / "a", "--json") == 0
    back = json.loads(capsys.readouterr().out)["differences"]
    for one, other in zip(found["differences"], back, strict=True):
        assert one["difference"] == pytest.approx(-other["difference"])
        assert one["p"] == pytest.approx(other["p"])
    assert command("compare", runs / "a", runs / "b") == 0
    out = capsys.readouterr().out
    assert "McNemar" in out
    assert max(len(line.rstrip()) for line in out.splitlines() if str(runs) not in line) <= 100


def test_a_run_and_itself_do_not_differ(runs, capsys):
    assert command("compare", runs / "a", runs / "a", "--json") == 0
    for row in json.loads(capsys.readouterr().out)["differences"]:
        assert (row["difference"], row["p"]) == (0, 1)


def test_the_order_of_rows_does_not_count(runs, tmp_path, capsys):
    shutil.copytree(runs / "b", tmp_path / "b")
    path = tmp_path / "b" / "predictions.csv"
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows[::-1]])
    found = []
    for other in (runs / "b", tmp_path / "b"):
        assert command("compare", runs / "a", other, "--json") == 0
        found.append(json.loads(capsys.readouterr().out)["differences"])
    assert found[0] == found[1]


def change(runs, tmp_path, name, before, after):
    shutil.copytree(runs / "b", tmp_path / "changed")
    path = tmp_path / "changed" / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    return command("compare", runs / "a", tmp_path / "changed")


def test_other_labels_are_refused(runs, tmp_path, capsys):
    with (runs / "b" / "predictions.csv").open() as file:
        row = next(row for row in csv.reader(file) if row[1] == "test")
    before, other = ",".join(row[:4]), str((int(row[3]) + 1) % 10)
    after = ",".join([*row[:3], other])
    assert change(runs, tmp_path, "predictions.csv", before + ",", after + ",") == 2
    assert f"{row[0]} is '{row[3]}' in one and '{other}' in the other" in capsys.readouterr().err


def test_other_test_images_are_refused(runs, tmp_path, capsys):
    with (runs / "b" / "predictions.csv").open() as file:
        name = next(row[0] for row in csv.reader(file) if row[1] == "test")
    assert change(runs, tmp_path, "predictions.csv", f"{name},test", "another,test") == 2
    error = capsys.readouterr().err
    assert "their test images are not the same (359 and 359, 358 of them in both; " in error
    assert "another is not). Train both on one split" in error


def test_another_task_is_refused(runs, tmp_path, capsys):
    assert change(runs, tmp_path, "evaluation.json", "classification", "multilabel") == 2
    assert "one is for classification (0, 1" in capsys.readouterr().err


def test_a_damaged_file_is_refused(runs, tmp_path, capsys):
    assert change(runs, tmp_path, "evaluation.json", "{", "") == 2
    assert "predictions.csv or evaluation.json is damaged" in capsys.readouterr().err


def test_a_folder_without_predictions_is_refused(runs, tmp_path, capsys):
    assert command("compare", runs / "a", tmp_path) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path} has no predictions.csv; give the folder that 'tensorgraph train'" in error


def test_what_is_not_defined_is_said(runs, tmp_path, capsys):
    """Test images of one class have no area."""
    for name in "ab":
        shutil.copytree(runs / name, tmp_path / name)
        path = tmp_path / name / "predictions.csv"
        with path.open(newline="") as file:
            head, *rows = csv.reader(file)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([head, *(row for row in rows if row[3] == "4")])
    assert command("compare", tmp_path / "a", tmp_path / "b", "--json") == 0
    area, accuracy = json.loads(capsys.readouterr().out)["differences"]
    assert area["difference"] is area["p"] is None
    assert accuracy["low"] <= accuracy["difference"] <= accuracy["high"]
    assert command("compare", tmp_path / "a", tmp_path / "b") == 0
    assert "– … –" in capsys.readouterr().out


def test_measured_numbers():
    generator = np.random.default_rng(0)
    truth = generator.uniform(20, 80, 200)
    near, far = truth + generator.normal(0, 1, 200), truth + generator.normal(0, 3, 200)
    (row,) = tg.plugins.walk("paired", near, far, truth, "regression")
    assert row["metric"] == "mae"
    assert 0 < row["low"] < row["difference"] < row["high"]
    assert row["p"] < 0.001
