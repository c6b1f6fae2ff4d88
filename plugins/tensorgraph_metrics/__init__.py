"""The figures of an evaluation with their intervals; what is settled on validation."""

from __future__ import annotations

import importlib
from typing import Any

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register

METRICS = {
    "accuracy": "counting",
    "auc": "roc",
    "balanced_accuracy": "counting",
    "brier": "probabilities",
    "ece": "probabilities",
    "f1": "counting",
    "kappa": "counting",
    "macro_f1": "counting",
    "mae": "regression",
    "mcc": "counting",
    "npv": "counting",
    "ppv": "counting",
    "r2": "regression",
    "rmse": "regression",
    "sensitivity": "counting",
    "specificity": "counting",
}
WALKS = {
    "settle": "decision:settle",
    "probabilities": "decision:probabilities",
    "evaluate": "evaluation:evaluate",
    "paired": "paired:paired",
}


class OnUse:
    """A metric whose module, which imports NumPy, is imported on first use."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._metric(), attribute)

    def __call__(self, scores: Any, labels: Any) -> float:
        return float(self._metric()(scores, labels))

    def _metric(self) -> Any:
        module = importlib.import_module(f"tensorgraph_metrics.{METRICS[self.__name__]}")
        return getattr(module, self.__name__)


@hookimpl
def register_metrics(register: Register) -> None:
    for name in METRICS:
        register(name, OnUse(name))


@hookimpl
def register_walks(register: Register) -> None:
    for name, where in WALKS.items():
        register(name, f"tensorgraph_metrics.{where}")
