"""The shuffled-label control: a run that can learn nothing, and so must score chance."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph_train import feed
from tensorgraph_train.runfile import Settings

PARTS = ("train", "val")  # the test part keeps its labels: they are what must not be guessed
EPOCH = 0xFFFFFFFF  # no epoch has this number: its order is drawn for the labels
NAME = "CONTROL.txt"
TEXT = """\
This run is a control: the labels of its training and validation images were permuted. On test it
must score chance; its model is of no use. One control scatters around chance by more than its
interval, which is that of the test images alone: judge by several, with other seeds or --folds. If
all of them score above chance, test labels leak into training, or the figures are wrong.
"""


def mark(settings: Settings) -> dict[str, Any]:
    """What says in an evaluation that it is one of a control; nothing for other runs."""
    return {"control": True} if settings.train.control else {}


def permuted(dataset: tg.Dataset, seed: int) -> tg.Dataset:
    """The dataset with the labels of train and of val permuted, among whole groups where there are
    groups."""
    labels = dataset.labels.copy()
    for part in PARTS:
        own = np.asarray(dataset.splits.get(part, ()), np.int64)
        if len(own):
            groups = own if dataset.groups is None else np.asarray(dataset.groups)[own]
            labels[own] = exchanged(dataset.labels[own], groups, seed)
    return dataclasses.replace(dataset, labels=labels)


def exchanged(labels: Any, groups: Any, seed: int) -> Any:
    """Each group with the labels of another, in turn where they are of different sizes."""
    _, unit = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(unit, kind="stable"), np.cumsum(np.bincount(unit))[:-1])
    out = labels.copy()
    for own, donor in zip(members, feed.order(len(members), seed, EPOCH)):
        out[own] = labels[np.resize(members[donor], len(own))]
    return out
