"""What a library hands to the worker: a workload made ready to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.compare.workloads import Workload


class Unavailable(Exception):  # noqa: N818  a finding, not a failure
    """This library cannot do what is asked here; the message says why."""


@dataclass(frozen=True)
class Request:
    """A workload to be made ready: to be trained, or to infer; with dropout as described, or with
    dropout that lets everything through, so that losses can be compared."""

    workload: Workload
    weights: dict[str, Any]
    option: str  # which of the library's variants
    threads: int
    train: bool
    dropout: bool = True

    def rate(self, p: float) -> float:
        """The rate of a dropout that is described as ``p``."""
        return p if self.dropout else 0.0


@dataclass(frozen=True)
class Images:
    """A training set in memory: raw 8-bit images (N, C, H, W) and class numbers (N,)."""

    pixels: Any
    labels: Any
    mean: float  # of the pixels over 255
    std: float

    def batch(self, index: Any) -> tuple[Any, Any]:
        """The images and labels of these indices as NumPy has them, standardised, float32."""
        x = self.pixels[index].astype("float32")
        x /= 255.0
        x -= self.mean
        x /= self.std
        return x, self.labels[index]


class Program(NamedTuple):
    """``place`` moves NumPy's inputs and targets to the library, ``run`` is a training step or a
    forward pass of them, and ``read`` waits for its result: the loss, or the outputs as NumPy's.

    ``feed`` gives, for a training set, the function that draws a batch by its indices.
    """

    place: Callable[[Any, Any], tuple[Any, ...]]
    run: Callable[..., Any]
    read: Callable[[Any], Any]
    feed: Callable[[Images], Callable[[Any], tuple[Any, ...]]]


def placed(place: Callable[[Any, Any], tuple[Any, ...]]) -> Any:
    """A ``feed`` that makes batches with NumPy and then places them."""
    return lambda images: lambda index: place(*images.batch(index))
