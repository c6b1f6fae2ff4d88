"""What mattered: how much of the trials' differences each key explains, and the picture of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tensorgraph.errors import ConfigError
from tensorgraph_search.space import Choice, Range, Space
from tensorgraph_search.trial import Trial

BINS = 3  # a numeric key is cut into as many parts of equally many trials
COLUMNS = 4  # of panels


def comparable(done: Sequence[Trial]) -> list[Trial]:
    """Those of the first round, which are alike in all but the values, and did not fail."""
    first = min(t.epochs for t in done)
    return [t for t in done if t.epochs == first and t.value is not None]


def shares(done: Sequence[Trial], space: Space) -> dict[str, float]:
    """The share of the variance that each key explains by itself, the largest first.

    Kelley's ε²: the correlation ratio, less what groups of so few explain by chance; so the shares
    of keys that do nothing are about 0, and those of all keys need not add up to 1.
    """
    found = {key: _share(comparable(done), key, one) for key, one in space.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _share(trials: Sequence[Trial], key: str, one: Choice | Range) -> float:
    groups = [g for g in _groups(trials, key, one) if g]
    everything = [x for g in groups for x in g]
    n, k = len(everything), len(groups)
    if n <= k or k < 2:
        return 0.0
    total = _scatter(everything)
    within = sum(map(_scatter, groups))
    if total == 0:
        return 0.0
    return max(0.0, 1 - within / (n - k) * (n - 1) / total)


def _groups(trials: Sequence[Trial], key: str, one: Choice | Range) -> list[list[float]]:
    if isinstance(one, Choice):
        return [[t.goodness for t in trials if t.values[key] == value] for value in one.values]
    ordered = sorted(trials, key=lambda t: float(t.values[key]))
    cuts = [round(len(ordered) * i / BINS) for i in range(BINS + 1)]
    return [[t.goodness for t in ordered[a:b]] for a, b in itertools.pairwise(cuts)]


def _scatter(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((x - mean) ** 2 for x in values)


def require_matplotlib() -> None:
    """Asked for before anything is trained: nothing is computed in vain."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"search: {error.name} is not installed; pip install 'tensorgraph[search]'"
        ) from None


def draw(done: Sequence[Trial], space: Space, path: Path) -> None:
    """A panel for each key, what mattered most first: its value, and how good the trial was."""
    from matplotlib.figure import Figure

    trials = comparable(done)
    if not trials:
        return
    found = shares(done, space)
    columns = min(COLUMNS, len(found))
    rows = math.ceil(len(found) / columns)
    figure = Figure(figsize=(3.2 * columns, 2.8 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    best = max(trials, key=lambda t: t.goodness)
    for panel, (key, share) in zip(panels.flat, found.items()):
        _panel(panel, trials, best, key, space[key])
        panel.set_title(f"{key}\nexplains {share:.0%}", fontsize=9)
    for panel in panels.flat[len(found) :]:
        panel.axis("off")
    for panel in panels[:, 0]:
        panel.set_ylabel(f"{best.metric} on validation")
    figure.suptitle(f"{len(trials)} trials, train.epochs = {best.epochs}; the best in orange")
    figure.savefig(path, dpi=120)


def _panel(panel: Any, trials: Sequence[Trial], best: Trial, key: str, one: Choice | Range) -> None:
    colours = ["#d55e00" if t is best else "#0072b2" for t in trials]
    heights = [t.value for t in trials]
    if isinstance(one, Choice):
        panel.scatter([one.values.index(t.values[key]) for t in trials], heights, c=colours, s=18)
        panel.set_xticks(range(len(one.values)), [str(value) for value in one.values])
        panel.set_xlim(-0.5, len(one.values) - 0.5)
        return
    panel.scatter([t.values[key] for t in trials], heights, c=colours, s=18)
    if one.log:
        panel.set_xscale("log")
