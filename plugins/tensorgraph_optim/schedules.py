"""How the learning rate goes over a training run: factories of ``factor(epoch, epochs)``.

``epoch`` counts from 0 to ``epochs`` and may be fractional; the learning rate is the optimizer's
times the factor. Every schedule takes ``warmup``: over that many epochs its factor is multiplied by
a ramp from ``warmup_start`` to 1. Epochs named in options count from the start of training.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tensorgraph.errors import ConfigError

Factor = Callable[[float, int], float]


def constant(warmup: float = 0, warmup_start: float = 0.1) -> Factor:
    """Always 1."""
    return _warmed("constant", lambda epoch, epochs: 1.0, warmup, warmup_start)


def step(
    every: int = 10, gamma: float = 0.1, warmup: float = 0, warmup_start: float = 0.1
) -> Factor:
    """Times ``gamma`` after every so many epochs."""
    _require(every > 0, f"step: every={every} is not a number of epochs above 0")
    _positive("step", gamma=gamma)
    return _warmed(
        "step", lambda epoch, epochs: gamma ** math.floor(epoch / every), warmup, warmup_start
    )


def multi_step(
    milestones: tuple[float, ...],
    gamma: float = 0.1,
    warmup: float = 0,
    warmup_start: float = 0.1,
) -> Factor:
    """Times ``gamma`` at each of these epochs."""
    _positive("multi_step", gamma=gamma)

    def factor(epoch: float, epochs: int) -> float:
        return gamma ** len([m for m in milestones if m <= epoch])

    return _warmed("multi_step", factor, warmup, warmup_start)


def exponential(gamma: float = 0.95, warmup: float = 0, warmup_start: float = 0.1) -> Factor:
    """Times ``gamma`` in the course of every epoch."""
    _positive("exponential", gamma=gamma)
    return _warmed("exponential", lambda epoch, epochs: gamma**epoch, warmup, warmup_start)


def cosine(final: float = 0.0, warmup: float = 0, warmup_start: float = 0.1) -> Factor:
    """From 1 to ``final`` over the whole run, along half a cosine (Loshchilov and Hutter, 2017)."""
    _require(final >= 0, f"cosine: final={final} is not a number from 0 on")
    return _warmed(
        "cosine",
        lambda epoch, epochs: _anneal(1.0, final, epoch / max(1, epochs)),
        warmup,
        warmup_start,
    )


def one_cycle(
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    warmup: float = 0,
    warmup_start: float = 0.1,
) -> Factor:
    """Up from 1/``div_factor`` to 1 over the share ``pct_start`` of the run, then down to
    1/``div_factor``/``final_div_factor``, along cosines (Smith and Topin, 2019)."""
    _require(0 < pct_start < 1, f"one_cycle: pct_start={pct_start} is not between 0 and 1")
    _positive("one_cycle", div_factor=div_factor, final_div_factor=final_div_factor)

    def factor(epoch: float, epochs: int) -> float:
        done = epoch / max(1, epochs)
        first, last = 1 / div_factor, 1 / div_factor / final_div_factor
        if done <= pct_start:
            return _anneal(first, 1.0, done / pct_start)
        return _anneal(1.0, last, (done - pct_start) / (1 - pct_start))

    return _warmed("one_cycle", factor, warmup, warmup_start)


def _anneal(start: float, end: float, done: float) -> float:
    """From ``start`` to ``end`` along half a cosine; beyond, it stays."""
    return end + (start - end) * (1 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2


def _warmed(name: str, factor: Factor, warmup: float, start: float) -> Factor:
    _require(warmup >= 0, f"{name}: warmup={warmup} is not a number of epochs from 0 on")
    _require(0 <= start <= 1, f"{name}: warmup_start={start} is not a share from 0 to 1")

    def warmed(epoch: float, epochs: int) -> float:
        ramp = start + (1 - start) * epoch / warmup if epoch < warmup else 1.0
        return ramp * factor(epoch, epochs)

    return warmed


def _positive(name: str, **options: float) -> None:
    for option, value in options.items():
        _require(value > 0, f"{name}: {option}={value} is not a number above 0")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ConfigError(otherwise)
