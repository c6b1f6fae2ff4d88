"""The sections of the report: a module each, of the section's name."""

from __future__ import annotations

from collections.abc import Sequence

NAMES = {
    "auc": "AUC",
    "macro_f1": "Macro F1",
    "f1": "F1",
    "ppv": "PPV",
    "npv": "NPV",
    "mcc": "MCC",
    "ece": "Expected calibration error",
    "expected_calibration_error": "Expected calibration error",
    "brier": "Brier score",
    "kappa": "Cohen's kappa",
    "cohen_kappa": "Cohen's kappa",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
}


def named(metric: str) -> str:
    """A metric's name as it is printed."""
    return NAMES.get(metric, metric.replace("_", " ").capitalize())


def within(metric: str) -> str:
    """The same within a sentence."""
    name = named(metric)
    return name[0].lower() + name[1:] if name[1:2].islower() and name[0] not in "BCM" else name


def count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def axes(shape: Sequence[int]) -> str:
    """What the axes of an image of this shape are."""
    return "channels×height×width" if len(shape) == 3 else "channels×depth×height×width"


def sized(shape: Sequence[int]) -> str:
    """An image's shape, and what its axes are."""
    return f"{'×'.join(map(str, shape))} ({axes(shape)})"
