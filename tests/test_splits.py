"""Splits: proportions, groups kept whole, the same on every machine, clear when impossible."""

import numpy as np
import pytest
from tensorgraph_vision.splits import split

from tensorgraph.errors import ConfigError, DataError

CLASSES = ("cat", "dog", "owl")
PINNED = {  # each class in the order of `printf 0:cat/0.png | b2sum -l 128`: test, val, train
    "train": [2, 3, 4, 5, 7, 9, 11, 13, 14],
    "val": [0, 8, 12],
    "test": [1, 6, 10],
}


def made(counts=(100, 50, 30)):
    labels = np.repeat(np.arange(len(counts)), counts)
    return labels, [f"{CLASSES[label]}/{i}.png" for i, label in enumerate(labels)]


def parts_of(labels, names, *, seed=0, val=0.1, test=0.2, groups=None):
    return split(
        range(len(labels)), labels, names, CLASSES, seed=seed, val=val, test=test, groups=groups
    )


def test_every_image_is_in_one_part_in_the_proportions_of_its_class():
    labels, names = made()
    parts = parts_of(labels, names)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(180))
    counts = {part: np.bincount(labels[own]).tolist() for part, own in parts.items()}
    assert counts == {"train": [70, 35, 21], "val": [10, 5, 3], "test": [20, 10, 6]}


def test_the_split_is_this_one_on_every_platform():
    labels, names = made((5, 5, 5))
    parts = parts_of(labels, names, val=0.2, test=0.2)
    assert {k: v.tolist() for k, v in parts.items()} == PINNED


def test_seeds_differ_and_one_seed_does_not():
    labels, names = made()
    a, b, c = (parts_of(labels, names, seed=s)["test"].tolist() for s in (1, 1, 2))
    assert a == b != c


def test_an_added_image_moves_few_others():
    labels, names = made()
    before = parts_of(labels, names)
    after = parts_of(np.append(labels, 0), [*names, "cat/new.png"])
    moved = set(before["test"].tolist()) ^ set(after["test"].tolist())
    assert len(moved) <= 2


def test_the_order_of_the_images_does_not_matter():
    labels, names = made()
    there = {names[i] for i in parts_of(labels, names)["test"]}
    back = [names[::-1][i] for i in parts_of(labels[::-1], names[::-1])["test"]]
    assert there == set(back)


def test_only_the_indices_given_are_shared_out():
    labels, names = made()
    parts = split(range(0, 180, 2), labels, names, CLASSES, seed=0, val=0.5, test=0.0)
    assert sorted(parts) == ["train", "val"]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(0, 180, 2))


def test_without_fractions_all_is_for_training():
    labels, names = made()
    parts = parts_of(labels, names, val=0.0, test=0.0)
    assert list(parts) == ["train"] and len(parts["train"]) == 180


def test_each_part_has_one_of_each_class_even_where_rounding_says_none():
    labels, names = made((100, 3, 3))
    parts = parts_of(labels, names)
    assert all(set(labels[own]) == {0, 1, 2} for own in parts.values())
    big = parts_of(*made((3, 3, 3)), val=0.45, test=0.5)
    assert {part: len(own) for part, own in big.items()} == {"train": 3, "val": 3, "test": 3}


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(DataError) as error:
        parts_of(*made((10, 2, 10)))
    assert "class 'dog' has 2 images, too few to have one in each of train, val, test" in str(
        error.value
    )
    assert "--set data.val=0" in str(error.value)


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.2), (0.5, 0.5), (1.0, 0.0), (float("nan"), 0)])
def test_fractions_that_cannot_be(val, test):
    with pytest.raises(ConfigError, match="must be at least 0 and leave some for train"):
        parts_of(*made(), val=val, test=test)


def grouped(seed, patients=60):
    """Patients of very different numbers of images, most of one class, some of two."""
    draw = np.random.default_rng(seed)
    labels, groups = [], []
    for patient in range(patients):
        n = int(draw.integers(1, 12))
        main = int(draw.choice(3, p=[0.6, 0.25, 0.15]))
        own = np.where(draw.random(n) < 0.9, main, draw.integers(0, 3, n))
        labels += own.tolist()
        groups += [f"p{patient}"] * n
    return np.array(labels), np.array(groups)


@pytest.mark.parametrize("seed", range(20))
def test_groups_stay_whole_and_the_proportions_near(seed):
    labels, groups = grouped(seed)
    names = [str(i) for i in range(len(labels))]
    parts = parts_of(labels, names, seed=seed, groups=groups)
    homes = {}
    for part, own in parts.items():
        for i in own:
            assert homes.setdefault(groups[i], part) == part, f"{groups[i]} is torn apart"
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
    for part, share in {"train": 0.7, "val": 0.1, "test": 0.2}.items():
        assert abs(len(parts[part]) / len(labels) - share) < 0.05
        found = np.bincount(labels[parts[part]], minlength=3) / np.bincount(labels)
        assert np.all(np.abs(found - share) < 0.12), (part, found)


def test_without_memory_of_labels_nothing_can_be_learnt_about_held_out_patients():
    """Random labels per patient: who remembers patients scores at chance, as must be."""
    draw = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 10)
    labels = np.repeat(draw.integers(0, 2, 200), 10)
    parts = parts_of(labels, [str(i) for i in range(2000)], groups=groups)
    remembered = dict(zip(groups[parts["train"]], labels[parts["train"]], strict=True))
    assert not any(groups[i] in remembered for i in parts["test"])


def test_large_groups_that_the_first_order_places_badly():
    # two patients of the rare class, and one that has both of the others
    labels = np.array([0] * 40 + [1] * 40 + [2] * 3)
    groups = np.array([f"a{i // 10}" for i in range(80)] + ["r1", "r2", "r3"])
    parts = parts_of(labels, [str(i) for i in range(83)], groups=groups)
    assert all(set(labels[own]) == {0, 1, 2} for own in parts.values())


def test_too_few_groups_of_a_class_are_named():
    labels = np.array([0] * 30 + [1] * 30)
    groups = np.array([f"a{i // 5}" for i in range(30)] + ["b1"] * 15 + ["b2"] * 15)
    with pytest.raises(DataError) as error:
        parts_of(labels, [str(i) for i in range(60)], groups=groups)
    assert "class 'dog' has images of 2 groups, too few to have one in each of" in str(error.value)


def test_groups_that_cannot_be_shared_out():
    # each class has three patients, and each patient is the only one of two classes' pairs
    labels = np.array([0, 1, 0, 1, 0, 2, 1, 2, 2])
    groups = np.array(["a", "a", "b", "b", "c", "c", "d", "d", "e"])
    with pytest.raises(DataError, match="5 groups out to train, val, test so that every part"):
        parts_of(labels, [str(i) for i in range(9)], groups=groups)
