"""Few labels: which images to label next, k-means, and the callbacks that hide and guess labels."""

import csv
import json
from pathlib import Path

import few_labels
import numpy as np
import pytest
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.metrics import roc_auc_score
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


@pytest.mark.parametrize("p", [np.full((4, 1), 3.0), np.full((4, 2), 0.9)])
def test_what_is_no_class_an_image_is_refused(p):
    with pytest.raises(ConfigError, match="takes a model of one class an image"):
        sampling.choose("margin", p, None, 2)


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


def test_a_list_that_was_filled_in_is_trained_on(tmp_path, monkeypatch, capsys):
    """Folders of PNGs, a list of some, labels written into it, training on these, the next list."""
    monkeypatch.chdir(tmp_path)
    pictures("films", "dark", "light", n=30)
    assert command(*train("--data", "films", "--out", "first")) == 0
    known = []
    for number, by in enumerate(("random", "entropy", "margin", "diverse")):
        lists = [word for name in known for word in ("--labelled", name)]
        asked = ("pick", "first", "films", "--budget", 12, "--by", by, "--out", f"{number}.csv")
        assert command(*asked, *lists) == 0
        with Path(f"{number}.csv").open(newline="") as file:
            paths = [row["path"] for row in csv.DictReader(file)]
        filled = [f"{path},{Path(path).parent.name}" for path in paths]
        Path(f"{number}.csv").write_text("\n".join(["path,label", *filled]))
        known.append(f"{number}.csv")
    rows = [x for name in known for x in Path(name).read_text().split("\n")[1:]]
    assert len(set(rows)) == 48
    Path("all.csv").write_text("\n".join(["path,label", *rows]))
    assert command(*train("--data", "all.csv", "--epochs", "20", "--out", "second")) == 0
    found = json.loads(Path("second/evaluation.json").read_text())
    assert found["metrics"]["accuracy"]["value"] > 0.8


def test_images_are_grouped_into_a_list_and_the_typical_ones_come_first(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    pictures("films", "dark", "light")
    assert command(*train("--data", "films", "--epochs", "5")) == 0
    assert command("cluster", "out", "films", "--groups", "2", "--out", "groups.csv") == 0
    with Path("groups.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["group"] for row in rows] == sorted(row["group"] for row in rows)
    by = {g: [r for r in rows if r["group"] == g] for g in "01"}
    for own in by.values():
        assert len({Path(row["path"]).parent.name for row in own}) == 1, "as bright as each other"
        distances = [float(row["distance"]) for row in own]
        assert distances == sorted(distances)
    assert {row["label"] for row in rows} == {""}
    assert command("cluster", "out", "films", "--out", "groups.csv") == 2
    assert "it may hold labels" in capsys.readouterr().err


def test_the_labels_of_a_list_are_the_known_ones_and_validations_are_hidden(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    seen = []

    def watch(self, run):
        labels = run.feed.dataset.labels
        seen.append((run.train_indices, labels[run.train_indices], run.val_indices))
        seen.append({name: len(own) for name, own in run.feed.dataset.splits.items()})

    monkeypatch.setattr("training_help.Waits.on_start", watch, raising=False)
    digits = tg.datasets.digits.load(None)
    first, second, other = digits.splits["train"][:3]
    rows = [f"{digits.names[first]},7", f"{digits.names[second]},2", f"{digits.names[other]},"]
    Path("known.csv").write_text("\n".join(["path,label", *rows]))
    listed = ("few_labels", "listed = 'known.csv', val = 0.0, images = 10")
    assert command(*train("--data", "digits", *callbacks(listed, ("waits", "")))) == 0
    (indices, labels, val), sizes = seen
    assert {*zip(indices.tolist(), labels.tolist())} == {(first, 7), (second, 2)}
    assert len(indices) == 10 and np.bincount(labels, minlength=8)[[2, 7]].tolist() == [5, 5]
    assert (len(val), sizes["train"], sizes["unlabelled"]) == (
        0,
        2,
        len(digits.splits["train"]) - 2,
    )
    assert "val_loss" not in history()[0]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("path,label\nnobody,1\n", "nobody is the name of no training image"),
        ("path,label\n{},eleven\n", "'eleven', which is none of the classes 0, 1"),
        ("path,label\n{},\n", "no image has a label"),
        ("file,label\n", "a manifest has the columns path and label"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(rows, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    digits = tg.datasets.digits.load(None)
    name = digits.names[digits.splits["train"][0]]
    Path("known.csv").write_text(rows.format(name))
    listed = callbacks(("few_labels", "listed = 'known.csv'"))
    assert command(*train("--data", "digits", *listed)) == 2
    assert words in capsys.readouterr().err


def test_the_benchmarks_figures_are_those_of_scikit_learn_and_of_delong():
    generator = np.random.default_rng(0)
    truth = (np.arange(300) % 3 == 0).astype(np.int64)
    first, second = (np.round(generator.normal(size=300) + far * truth, 1) for far in (0.8, 1.5))
    for x in (first, second):
        assert few_labels.above(x, truth).mean() == pytest.approx(roc_auc_score(truth, x))
    both = [np.stack([-x, x], 1) for x in (first, second)]
    (delong,) = tg.plugins.walk("paired", *both, truth, "classification")
    low, high = few_labels.by_images([first], [second], truth)
    assert [low, high] == pytest.approx([delong["low"], delong["high"]], abs=0.012)
