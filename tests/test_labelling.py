"""Few labels: which images to label next, k-means, and the callbacks that hide and guess labels."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.cluster import KMeans
from tensorgraph_labelling import pool, sampling
from training_help import command, pictures, train

import tensorgraph as tg
from tensorgraph.errors import ConfigError

BLOBS = np.random.default_rng(0).normal(size=(90, 5)) + np.repeat(np.eye(5)[:3] * 12, 30, axis=0)


def test_entropy_is_scipys():
    p = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    p[0] = [1, 0, 0, 0]
    assert sampling.entropy(p) == pytest.approx(stats.entropy(p, axis=1))


def test_the_least_sure_come_first():
    p = np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.4, 0.3, 0.3], [0.6, 0.4, 0.0]])
    assert sampling.choose("margin", p, None, 3).tolist() == [1, 2, 3]
    assert sampling.choose("entropy", p, None, 2).tolist() == [2, 1]
    assert sampling.choose("margin", p, None, 9).tolist() == [1, 2, 3, 0]


def test_a_diverse_batch_asks_of_every_group():
    """Thirty images of each of three groups, and those of the first are the least sure."""
    p = np.repeat([[0.5, 0.5], [0.6, 0.4], [0.62, 0.38]], 30, axis=0)
    found = sampling.choose("diverse", p, BLOBS, 9)
    assert len({*found}) == 9
    assert {*(found // 30)} == {0, 1, 2}
    assert {*(sampling.choose("margin", p, BLOBS, 9) // 30)} == {0}


def test_a_diverse_batch_of_images_that_are_all_alike():
    found = sampling.choose("diverse", np.full((12, 2), 0.5), np.ones((12, 3)), 5)
    assert len({*found}) == 5


def test_k_means_agrees_with_scikit_learns():
    centres, nearest = tg.plugins.walk("k_means", BLOBS, 3)
    theirs = KMeans(3, n_init=5, random_state=0).fit(BLOBS)
    assert np.sort(centres, axis=0) == pytest.approx(np.sort(theirs.cluster_centers_, axis=0))
    assert [len(np.unique(nearest[i : i + 30])) for i in (0, 30, 60)] == [1, 1, 1]
    with pytest.raises(ConfigError, match="4 groups of 3 rows"):
        tg.plugins.walk("k_means", BLOBS[:3], 4)


def test_rows_without_weight_do_not_move_a_centre():
    x = np.array([[0.0], [1.0], [100.0]])
    centres, _ = tg.plugins.walk("k_means", x, 1, 0, [1, 1, 0])
    assert centres == pytest.approx(np.array([[0.5]]))


@pytest.mark.parametrize("share", [0.01, 0.1, 1.0])
def test_of_each_class_the_share_is_kept(share):
    labels = np.repeat([0, 1, 2], [200, 50, 10])
    found = pool.kept(np.arange(260), labels, share, 0)
    counts = np.bincount(labels[found])
    assert counts.tolist() == [max(1, round(share * n)) for n in (200, 50, 10)]
    assert len({*found}) == len(found)


def history():
    return [json.loads(x) for x in Path("out/history.jsonl").read_text().splitlines()]


def callbacks(*names):
    listed = ", ".join(f"{{name = '{n}'{options and ', '}{options}}}" for n, options in names)
    return ("--set", f"train.callbacks=['history', {listed}]")


def test_labels_are_hidden_and_guessed_and_the_figures_are_of_the_true_ones(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    seen = []

    def watch(self, run, record):
        truth = tg.datasets.digits.load(None).labels[run.train_indices]
        given = run.feed.dataset.labels[run.train_indices]
        seen.append((len(run.train_indices), float((truth == given).mean())))

    monkeypatch.setattr("training_help.Waits.on_epoch", watch, raising=False)
    more = ("--set", "train.epochs=16", "--set", "train.optimizer.lr=0.01")
    more += ("--set", "train.batch_size=8")
    few, pseudo = ("few_labels", "share = 0.1"), ("pseudo_labels", "start = 2, threshold = 0.8")
    asked = callbacks(few, pseudo, ("waits", ""))
    assert command(*train("--data", "digits", *asked), *more) == 0
    counts = [n for n, _ in seen]
    assert counts[0] < 140 and counts[-1] > 1.5 * counts[0]
    assert seen[0][1] == 1.0 and 0.7 < seen[-1][1] < 1.0
    assert len(history()) == 16


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([("few_labels", "share = 0")], "few_labels: share=0 is not above 0"),
        ([("pseudo_labels", "start = 0")], "pseudo_labels: start=0 is not at least 1"),
        ([("pseudo_labels", "start = 1")], "put few_labels before it"),
    ],
)
def test_a_mistake_is_said(listed, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(*train("--data", "digits", *callbacks(*listed))) == 2
    assert words in capsys.readouterr().err


def test_pick_writes_a_list_and_leaves_out_what_has_a_label(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pictures("data", "dark", "light")
    assert command(*train("--data", "data")) == 0
    assert command("pick", "out", "data", "--out", "a.csv", "--budget", "6") == 0
    with Path("a.csv").open(newline="") as file:
        first = list(csv.DictReader(file))
    assert len(first) == 6 and all(row["label"] == "" for row in first)
    assert all(Path(row["path"]).is_file() for row in first)
    Path("done.csv").write_text("path,label\n" + "".join(f"{r['path']},dark\n" for r in first))
    again = ("pick", "out", "data", "--out", "b.csv", "--budget", "99", "--labelled", "done.csv")
    assert command(*again) == 0
    with Path("b.csv").open(newline="") as file:
        second = list(csv.DictReader(file))
    assert len(second) == 18
    assert not {r["path"] for r in first} & {r["path"] for r in second}
    assert command(*again) == 2, "a list that may hold labels is not written over"
    assert command("pick", "out", "data", "--out", "c.csv", "--by", "luck") == 2
    assert "--by luck: it takes one of entropy, margin, diverse, random" in capsys.readouterr().err
