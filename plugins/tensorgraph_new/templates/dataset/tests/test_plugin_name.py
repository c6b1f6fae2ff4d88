"""The dataset ``plugin_name``: what a dataset must keep to, and that a model learns it."""

import json
import subprocess
import sys

import numpy
import pytest
import tensorgraph as tg


@pytest.fixture
def dataset():
    return tg.datasets.plugin_name.load(None, seed=1)


def test_images_and_labels(dataset):
    assert dataset.images.shape == (1000, 1, 16, 16)
    assert dataset.images.max() <= dataset.white
    assert numpy.bincount(dataset.labels).tolist() == [500, 500]
    assert len(dataset.classes) == 2


def test_every_image_is_in_one_split(dataset):
    sizes = {name: len(indices) for name, indices in dataset.splits.items()}
    assert sizes == {"train": 700, "val": 100, "test": 200}
    assert sorted(numpy.concatenate([*dataset.splits.values()])) == [*range(1000)]


def test_the_seed_decides(dataset):
    again, other = (tg.datasets.plugin_name.load(None, seed=seed) for seed in (1, 2))
    numpy.testing.assert_array_equal(again.images, dataset.images)
    assert (other.images != dataset.images).any()


def test_splits_that_leave_nothing():
    with pytest.raises(tg.errors.ConfigError, match="leave nothing to train on"):
        tg.datasets.plugin_name.load(None, val=0.5, test=0.5)


def test_a_model_learns_it(tmp_path):
    train = "-m tensorgraph_cli train --data plugin_name --epochs 4 --out"
    subprocess.run([sys.executable, *train.split(), tmp_path / "run"], check=True)
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text("utf-8"))
    assert evaluation["metrics"]["accuracy"]["value"] > 0.9
