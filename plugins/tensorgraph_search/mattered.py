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
    """The trials as they were after the first round: alike in all but the values."""
    first = min(t.epochs for t in done)
    return [t for t in done if t.epochs == first]


def shares(done: Sequence[Trial], space: Space) -> dict[str, float]:
    """How much of the order of the trials each key explains by itself, the largest first.

    Of the variance of their ranks, as in Kruskal and Wallis' test (1952), so that a trial that
    failed, the last of all, counts no more than its place. Kelley's ε² (1935): the correlation
    ratio, less what groups of so few explain by chance; so the shares of keys that do nothing are
    about 0, and those of all keys need not add up to 1.
    """
    trials = comparable(done)
    ranks = _ranks([t.goodness for t in trials])
    found = {
        key: _share(_groups([t.values[key] for t in trials], ranks, one))
        for key, one in space.items()
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _ranks(goodness: Sequence[float]) -> list[float]:
    """Equal ones share the mean of their places."""
    return [
        sum(other < one for other in goodness) + sum(other == one for other in goodness) / 2
        for one in goodness
    ]


def _share(groups: Sequence[Sequence[float]]) -> float:
    groups = [g for g in groups if g]
    everything = [x for g in groups for x in g]
    n, k = len(everything), len(groups)
    if n <= k or k < 2:
        return 0.0
    total = _scatter(everything)
    within = sum(map(_scatter, groups))
    if total == 0:
        return 0.0
    return max(0.0, 1 - within / (n - k) * (n - 1) / total)


def _groups(
    values: Sequence[Any], ranks: Sequence[float], one: Choice | Range
) -> list[list[float]]:
    """The ranks by value, those of many different numbers in parts of equally many."""
    if isinstance(one, Choice) or len({*values}) <= BINS:
        known = one.values if isinstance(one, Choice) else {*values}
        return [[r for value, r in zip(values, ranks) if value == x] for x in known]
    ordered = [r for _, r in sorted(zip(values, ranks))]
    cuts = [round(len(ordered) * i / BINS) for i in range(BINS + 1)]
    return [ordered[a:b] for a, b in itertools.pairwise(cuts)]


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
    found = shares(done, space)
    columns = min(COLUMNS, len(found))
    rows = math.ceil(len(found) / columns)
    figure = Figure(figsize=(max(5.0, 3.2 * columns), 2.8 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    best = min(trials, key=lambda t: (-t.goodness, t.number))
    for panel, (key, share) in zip(panels.flat, found.items()):
        _panel(panel, trials, best, key, space[key])
        panel.set_title(f"{key}\nexplains {share:.0%} of the order", fontsize=9)
    for panel in panels.flat[len(found) :]:
        panel.axis("off")
    for panel in panels[:, 0]:
        panel.set_ylabel(f"{best.metric} on validation")
    failed = sum(bool(t.failed) for t in trials)
    figure.suptitle(
        f"{len(trials)} trials after {best.epochs} epoch{'s' * (best.epochs != 1)}; the best in "
        f"orange{f', {failed} × failed' if failed else ''}",
        fontsize=10,
    )
    figure.savefig(path, dpi=120)


def _panel(panel: Any, trials: Sequence[Trial], best: Trial, key: str, one: Choice | Range) -> None:
    values = [t.values[key] for t in trials]
    if isinstance(one, Choice):
        labels = [short(value) for value in one.values]
        values = [one.values.index(value) for value in values]
        panel.set_xticks(range(len(labels)), labels, fontsize=8)
        panel.set_xlim(-0.5, len(labels) - 0.5)
    else:
        panel.set_xscale("log" if one.log else "linear")
        panel.set_xlim(one.low, one.high)
    if isinstance(one, Range) and one.log:
        ticks = [one.low, math.sqrt(one.low * one.high), one.high]
        panel.set_xticks(ticks, [f"{x:.2g}" if x < 10 else f"{x:.0f}" for x in ticks])
        panel.minorticks_off()
    for x, t in zip(values, trials):
        if t.value is None:  # on the lower edge
            panel.plot(
                x, 0, "x", color="black", transform=panel.get_xaxis_transform(), clip_on=False
            )
        else:
            colour = "#d55e00" if t is best else "#0072b2"
            panel.plot(x, t.value, "o", ms=5, color=colour, clip_on=False)


def short(value: Any) -> str:
    """A value in few letters: of a table its name and options, of a list what is in it."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        options = ",".join(f"{k}={short(x)}" for k, x in value.items() if k != "name")
        return f"{value.get('name', '')}({options})" if options else str(value.get("name"))
    if isinstance(value, list):
        return "+".join(map(short, value)) or "none"
    return str(value)
