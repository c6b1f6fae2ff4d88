"""Splits of several labels an image and of measured numbers, folds, and groups that users name."""

import dataclasses

import numpy as np
import pytest
from tensorgraph_vision.regroup import groups_of, regroup
from tensorgraph_vision.splits import UNGROUPED, fold, split

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError

FINDINGS = ("mass", "nodule", "hernia")


def made(n=600):
    """Labels of three frequencies, and as names those of files of 60 patients."""
    draw = np.random.default_rng(0)
    labels = (draw.random((n, 3)) < [0.3, 0.1, 0.03]).astype(np.uint8)
    return labels, [f"p{i // 10}_{i}.png" for i in range(n)]


def patients(n=600):
    return np.array([f"p{i // 10}" for i in range(n)])


def dataset(labels, names, classes, **more):
    images = np.zeros((len(labels), 1, 2, 2), np.uint8)
    splits = {"train": np.arange(len(labels))}
    return tg.Dataset("made", images, 255.0, labels, classes, splits, names=names, **more)


@pytest.mark.parametrize("groups", [None, patients()])
def test_each_of_several_labels_keeps_its_proportion(groups):
    labels, names = made()
    parts = split(range(600), labels, names, FINDINGS, seed=1, val=0.1, test=0.2, groups=groups)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(600))
    slack = 0.03 if groups is None else 0.12
    for part, share in {"train": 0.7, "val": 0.1, "test": 0.2}.items():
        assert abs(len(parts[part]) / 600 - share) < slack
        found = labels[parts[part]].sum(0) / labels.sum(0)
        assert np.all(np.abs(found - share) < max(slack, 0.06)), (part, found)


@pytest.mark.parametrize("groups", [None, patients()])
def test_measured_numbers_are_as_high_in_every_part(groups):
    numbers = np.random.default_rng(2).lognormal(size=600)
    names = made()[1]
    parts = split(range(600), numbers, names, ("mm",), seed=3, val=0.1, test=0.2, groups=groups)
    quartiles = np.quantile(numbers, [0.25, 0.5, 0.75])
    for part, share in {"train": 0.7, "val": 0.1, "test": 0.2}.items():
        assert abs(len(parts[part]) / 600 - share) < 0.03
        below = (numbers[parts[part]][:, None] < quartiles).mean(0)
        assert np.all(np.abs(below - [0.25, 0.5, 0.75]) < 0.1), (part, below)


def test_few_measured_numbers_and_many_equal_ones():
    three = split(range(3), np.array([1.0, 2, 3]), list("abc"), ("mm",), seed=0, val=0.1, test=0.2)
    assert {part: len(own) for part, own in three.items()} == {"train": 1, "val": 1, "test": 1}
    equal = np.array([0.0] * 90 + [1.0] * 9 + [2.0])
    parts = split(range(100), equal, made()[1], ("mm",), seed=0, val=0.1, test=0.2)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))
    with pytest.raises(DataError, match="the dataset has 2 images, too few to have one in each of"):
        split(range(2), np.array([1.0, 2]), list("ab"), ("mm",), seed=0, val=0.1, test=0.2)


def test_a_label_with_too_few_images_is_named():
    labels, names = made()
    labels[:, 2] = 0
    labels[5, 2] = 1
    with pytest.raises(DataError, match="class 'hernia' has images of 1 group, too few"):
        split(range(600), labels, names, FINDINGS, seed=1, val=0.1, test=0.2)


@pytest.mark.parametrize("groups", [None, patients(300)])
@pytest.mark.parametrize("kind", ["classes", "labels", "numbers"])
def test_every_image_is_tested_in_one_fold(kind, groups):
    names = made(300)[1]
    labels = {
        "classes": np.arange(300) // 7 % 3,
        "labels": made(300)[0],
        "numbers": np.random.default_rng(0).normal(size=300),
    }[kind]
    tested = []
    for number in range(1, 6):
        parts = fold(
            range(300),
            labels,
            names,
            FINDINGS,
            seed=4,
            folds=5,
            number=number,
            val=0.1,
            groups=groups,
        )
        assert sorted(np.concatenate(list(parts.values()))) == list(range(300))
        assert abs(len(parts["test"]) - 60) <= (1 if groups is None else 10)
        assert abs(len(parts["val"]) - 30) <= (3 if groups is None else 12)
        if groups is not None:
            homes = [set(groups[own]) for own in parts.values()]
            assert sum(map(len, homes)) == 30, "a patient is in two parts"
        if kind == "classes":
            assert all(set(labels[own]) == {0, 1, 2} for own in parts.values())
        tested += parts["test"].tolist()
    assert sorted(tested) == list(range(300))


def test_folds_of_a_class_are_as_even_as_scikit_learns():
    from sklearn.model_selection import StratifiedKFold

    labels = np.repeat([0, 1, 2], [101, 13, 7])
    names = [str(i) for i in range(121)]
    own = [
        np.bincount(labels[fold(range(121), labels, names, FINDINGS, seed=0, folds=5, number=k,
                                val=0.0)["test"]], minlength=3)
        for k in range(1, 6)
    ]  # fmt: skip
    theirs = [
        np.bincount(labels[test], minlength=3)
        for _, test in StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels)
    ]
    assert np.ptp(own, axis=0).max() <= 1 >= np.ptp(theirs, axis=0).max()
    assert np.ptp(np.sum(own, axis=1)) <= 1


def test_too_few_for_the_folds():
    labels = np.repeat([0, 1, 2], [50, 50, 4])
    names = [str(i) for i in range(104)]
    with pytest.raises(DataError) as error:
        fold(range(104), labels, names, FINDINGS, seed=0, folds=5, number=1, val=0.1)
    assert str(error.value) == (
        "class 'hernia' has 4 images, too few to have one in each of 5 folds; add images, or take "
        "fewer folds"
    )


def test_a_pattern_of_the_names_groups():
    labels, names = np.arange(300) // 5 % 2, made(300)[1]
    data = dataset(labels, names, ("a", "b"))
    found = regroup(data, seed=0, val=0.1, test=0.2, group=r"^(p\d+)_")
    assert found.groups.tolist() == patients(300).tolist()
    assert UNGROUPED not in found.notes
    homes = [set(found.groups[own]) for own in found.splits.values()]
    assert sum(map(len, homes)) == 30
    assert UNGROUPED in regroup(data, seed=0, val=0.1, test=0.2, folds=3, number=1).notes


def test_a_column_groups():
    labels, names = np.arange(300) // 5 % 2, made(300)[1]
    data = dataset(
        labels, names, ("a", "b"), columns={"subject": patients(300), "age": labels * 1.5}
    )
    assert groups_of(data, "subject").tolist() == patients(300).tolist()
    assert set(groups_of(data, "age")) == {"0.0", "1.5"}


def test_official_parts_stay():
    labels, names = np.arange(300) // 5 % 2, made(300)[1]
    data = dataset(labels, names, ("a", "b"))
    data = dataclasses.replace(data, splits={"train": np.arange(200), "test": np.arange(200, 300)})
    grouped = regroup(data, seed=0, val=0.1, test=0.2, group=r"^(p\d+)_")
    assert grouped.splits["test"].tolist() == list(range(200, 300))
    assert len(grouped.splits["val"]) == 20
    folded = regroup(data, seed=0, val=0.1, test=0.2, folds=4, number=2)
    assert max(map(max, folded.splits.values())) < 200
    assert any("100 images of the official test part are left out" in x for x in folded.notes)


@pytest.mark.parametrize(
    ("group", "error", "says"),
    [
        ("patient", ConfigError, "no column of made (columns: site) and no pattern with one group"),
        ("(p", ConfigError, "is no column and no pattern: missing )"),
        ("(p)(_)", ConfigError, "no pattern with one group in parentheses, such as '(p[0-9]+)_'"),
        ("(q[0-9]+)", DataError, "finds nothing in 'p0_0.png' (300 of 300 images)"),
        ("site", DataError, "p0_3.png has no site, nor have 0 others; fill the column in"),
    ],
)
def test_groups_that_cannot_be(group, error, says):
    labels, names = np.arange(300) // 5 % 2, made(300)[1]
    site = np.array(["", "north"])[(np.arange(300) != 3).astype(int)]
    data = dataset(labels, names, ("a", "b"), columns={"site": site})
    with pytest.raises(error) as caught:
        groups_of(data, group)
    assert says in str(caught.value)


def test_a_fold_that_is_not_there():
    data = dataset(np.arange(300) % 2, made(300)[1], ("a", "b"))
    with pytest.raises(ConfigError, match=r"data.fold = 6 of data.folds = 5: it is 1 to 5"):
        regroup(data, seed=0, val=0.1, test=0.2, folds=5, number=6)
