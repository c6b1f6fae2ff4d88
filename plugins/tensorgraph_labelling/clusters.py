"""k-means: groups of features that are alike, with weights if some count more."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph.errors import ConfigError

ROUNDS = 100


def k_means(x: Any, k: int, seed: int = 0, weights: Any = None) -> tuple[Any, Any]:
    """Centres (k, F) of the features (n, F), and the centre of each: Lloyd's algorithm from
    k-means++ (Arthur and Vassilvitskii, 2007)."""
    x = np.asarray(x, np.float64)
    weights = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    if not 1 <= k <= len(x):
        raise ConfigError(f"k_means: {k} groups of {len(x)} rows")
    centres = _spread(x, k, weights, np.random.default_rng(seed))
    nearest = distances(x, centres).argmin(1)
    for _ in range(ROUNDS):
        for i in range(k):
            own = nearest == i
            if weights[own].sum() > 0:  # a group that lost all its rows stays where it is
                centres[i] = np.average(x[own], axis=0, weights=weights[own])
        before, nearest = nearest, distances(x, centres).argmin(1)
        if (before == nearest).all():
            break
    return centres, nearest


def standardised(x: Any) -> Any:
    """Each feature with mean 0 and standard deviation 1; one that never varies stays 0."""
    scale = x.std(0)
    return (x - x.mean(0)) / np.where(scale > 0, scale, 1)


def principal(x: Any, k: int) -> Any:
    """The ``k`` directions of largest variance (n, at most k) of the features (n, F)."""
    x = np.asarray(x, np.float64)
    x = x - x.mean(0)
    _, found = np.linalg.eigh(x.T @ x)  # in ascending order
    return x @ found[:, : -k - 1 : -1]


def _spread(x: Any, k: int, weights: Any, generator: np.random.Generator) -> Any:
    """Rows far from each other to begin with."""
    share = weights / weights.sum() if weights.sum() > 0 else None
    chosen = [int(generator.choice(len(x), p=share))]
    away = distances(x, x[chosen])[:, 0]  # from the nearest that is chosen
    for _ in range(k - 1):
        far = away * weights
        far[chosen] = 0
        left = np.ones(len(x))
        left[chosen] = 0
        share = far if far.sum() > 0 else left  # all rows that are left are copies
        chosen.append(int(generator.choice(len(x), p=share / share.sum())))
        away = np.minimum(away, distances(x, x[chosen[-1:]])[:, 0])
    return x[chosen].copy()


def distances(x: Any, y: Any) -> Any:
    """Squared, of each row of ``x`` from each row of ``y``."""
    found = (x * x).sum(1)[:, None] - 2 * x @ y.T + (y * y).sum(1)
    return np.maximum(found, 0)
