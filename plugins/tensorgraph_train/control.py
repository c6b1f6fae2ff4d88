"""The shuffled-label control: a run that can learn nothing, and so must score chance."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph_train import feed

PARTS = ("train", "val")  # the test part keeps its labels: they are what must not be guessed
EPOCH = 0xFFFFFFFF  # no epoch has this number: its order is drawn for the labels
BINS = 10
NAME = "CONTROL.txt"
TEXT = (
    "This run is a control: the labels of its training and validation images were permuted.\n"
    "On test it must score chance. A score above chance is a leak, or a mistake in the figures.\n"
    "Its model is of no use.\n"
)


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
    """Each group with the labels of another, in turn where they are of different sizes.

    The groups of each class get labels of every class in the proportions of all: a permutation
    drawn freely would leave a trace of the true labels, by chance and of either sign, and that is
    all that a model then learns.
    """
    _, unit = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(unit, kind="stable"), np.cumsum(np.bincount(unit))[:-1])
    stratum = np.array([np.bincount(own).argmax() for own in _grouped(_strata(labels), members)])
    random = feed.order(len(members), seed, EPOCH)
    receivers = random[np.argsort(stratum[random], kind="stable")]
    sizes = np.bincount(stratum)
    first = np.cumsum(sizes) - sizes
    at = stratum[receivers]
    place = (np.arange(len(receivers)) - first[at] + 0.5) / sizes[at]
    donors = receivers[np.argsort(place, kind="stable")]
    out = labels.copy()
    for receiver, donor in zip(receivers, donors):
        out[members[receiver]] = labels[np.resize(members[donor], len(members[receiver]))]
    return out


def _strata(labels: Any) -> Any:
    """A whole number for each image: its class, its set of classes, or its quantile."""
    if labels.dtype.kind == "f":
        edges = np.quantile(labels, np.arange(1, BINS) / BINS)
        return np.searchsorted(edges, labels)
    return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)


def _grouped(values: Any, members: list[Any]) -> list[Any]:
    return [values[own] for own in members]
