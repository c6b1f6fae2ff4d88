"""What is settled on validation and used on test: the temperature and the threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

COLDEST, HOTTEST = 0.05, 20.0
Rule = str | Mapping[str, float]  # "youden", or {"sensitivity": 0.9}


def probabilities(outputs: Any, task: str, temperature: float = 1.0) -> Any:
    """Of a model's outputs (n, K), in float64 so that the most certain answers stay in order: each
    divided by the temperature, then softmax, or for several labels an image sigmoid; of measured
    numbers the outputs (n,) themselves."""
    x = np.asarray(outputs, np.float64)
    if task == "regression":
        return x.reshape(-1)
    x = x / temperature
    if task == "multilabel":
        small = np.exp(-np.abs(x))
        return np.where(x >= 0, 1, small) / (1 + small)
    x = np.exp(x - x.max(1, keepdims=True))
    return x / x.sum(1, keepdims=True)


def temperature(outputs: Any, labels: Any, task: str) -> float:
    """The temperature at which these labels are most likely (Guo et al. 2017).

    The likelihood has one maximum in 1 / T, found by halving; 1 where there is none, because every
    answer is right, or there are no answers.
    """
    z = np.asarray(outputs, np.float64)
    if task == "regression" or not len(z):
        return 1.0
    own = labels * z if task == "multilabel" else np.eye(z.shape[1])[labels] * z

    def slope(log_t: float) -> float:
        """Of the negative log-likelihood in 1 / T: expected less observed output."""
        return float((probabilities(z, task, math.exp(log_t)) * z - own).sum())

    low, high = math.log(COLDEST), math.log(HOTTEST)
    if slope(low) <= 0 or slope(high) >= 0:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) < 0 else (middle, high)
    return math.exp((low + high) / 2)


def threshold(scores: Any, positive: Any, rule: Rule) -> float:
    """From which probability on an image is called positive; halfway between two scores.

    Youden's rule takes the largest sensitivity + specificity (Youden 1950); a required sensitivity
    the highest threshold that has it. 0.5 where only one of positives and negatives is there.
    """
    positive = np.asarray(positive, bool)
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return 0.5
    levels, place = np.unique(scores, return_inverse=True)
    called = np.cumsum(np.bincount(place, positive)[::-1])[::-1] / ones  # at or above each level
    spared = 1 - np.cumsum(np.bincount(place, ~positive)[::-1])[::-1] / zeros
    if isinstance(rule, str):
        best = int(np.argmax(np.round(called + spared, 12)))
    else:
        best = int(np.flatnonzero(called >= rule["sensitivity"] - 1e-12)[-1])
    below = levels[best - 1] if best else 0.0
    return float((below + levels[best]) / 2)


def settle(
    outputs: Any,
    labels: Any,
    train_labels: Any,
    classes: Sequence[str],
    task: str,
    *,
    rule: Rule = "youden",
    positive: str | None = None,
) -> dict[str, Any]:
    """From the outputs for the validation images and their labels, None where there are none.

    "threshold" is a number, for several labels an image one for each, and None otherwise;
    "majority" what one says who knows only the training labels: a class, the labels of more than
    half of the images, or the mean.
    """
    found: dict[str, Any] = {
        "temperature": 1.0,
        "threshold": None,
        "rule": None,
        "positive": None,
        "chosen_on": None,
        "majority": _majority(train_labels, classes, task),
    }
    given = outputs is not None and len(labels) > 0
    if given:
        found |= {"temperature": temperature(outputs, labels, task), "chosen_on": "val"}
        scores = probabilities(outputs, task, found["temperature"])
    said = rule if isinstance(rule, str) else f"sensitivity >= {rule['sensitivity']:g}"
    if task == "classification" and len(classes) == 2:
        name = positive or classes[1]
        one = list(classes).index(name)
        found |= {"threshold": 0.5, "rule": "0.5", "positive": name}
        if given:
            value = threshold(scores[:, one], labels == one, rule)
            found |= {"threshold": value, "rule": said}
    elif task == "multilabel":
        found |= {"threshold": dict.fromkeys(classes, 0.5), "rule": "0.5"}
        if given:
            values = (threshold(s, y > 0, rule) for s, y in zip(scores.T, labels.T, strict=True))
            found |= {"threshold": dict(zip(classes, values, strict=True)), "rule": said}
    return found


def _majority(labels: Any, classes: Sequence[str], task: str) -> Any:
    if task == "regression":
        return float(np.mean(labels))
    if task == "multilabel":
        return [
            name for name, share in zip(classes, np.mean(labels, 0), strict=True) if share > 0.5
        ]
    return classes[int(np.bincount(labels, minlength=len(classes)).argmax())]
