"""Each kernel at the shapes of the reference networks, beside PyTorch's call for the same: time,
bytes, share of what this GPU copies or multiplies at best, and whether the results agree."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tensorgraph_cupy.lib import UnsupportedError

from bench.cuda import algorithms, limits
from bench.cuda.case import Case, timed
from bench.cuda.ground import Ground
from bench.cuda.moves import moves
from bench.cuda.passes import passes
from bench.cuda.products import convolutions, products
from bench.cuda.trained import trained

FAMILIES: tuple[Callable[[bool], Iterator[Case]], ...] = (
    convolutions, products, trained, passes, moves,
)  # fmt: skip
HEAD = (
    *("kernel", "shape", "precision", "µs", "GB/s", "of copies", "of products", "PyTorch, µs"),
    "PyTorch / ours",
)
LAST = 2.5  # seconds before the deadline when nothing more is begun: PyTorch looks for algorithms
RESERVED = 0.15  # of the time, for all algorithms of some problems


def run(setting: Any, note: Callable[[dict[str, Any]], None]) -> None:
    ground = Ground(setting)
    best = limits.quick(ground)
    note({"kind": "limits", **best})
    begun = setting.left()
    left: list[str] = []
    for case in ordered(setting.small):
        if setting.left() < max(LAST, RESERVED * begun):
            left.append(f"{case.kind}, {case.shape}, {case.precision}")
            continue
        for row in limits.attempted(ground, case.row, functools.partial(_row, ground, case, best)):
            note(row)
    for shape, measure in algorithms.problems(ground):
        if setting.left() < LAST:
            left.append(f"all algorithms of {shape}")
            continue
        for row in limits.attempted(ground, {"kind": "algorithms", "shape": shape}, measure):
            note(row)
    if left:
        note({"left_out": left})


def ordered(small: bool) -> list[Case]:
    """First those that matter most, then the others, each time the families in turn."""
    found = [[*family(small)] for family in FAMILIES]
    return [
        case
        for first in (True, False)
        for case in _in_turn([[c for c in cases if c.first is first] for cases in found])
    ]


def _in_turn(families: Iterable[Sequence[Case]]) -> Iterator[Case]:
    for several in itertools.zip_longest(*families):
        yield from (case for case in several if case is not None)


def _row(ground: Ground, case: Case, best: dict[str, float]) -> dict[str, Any]:
    try:
        return timed(ground, case, best)
    except UnsupportedError as error:
        return {**case.row, "unsupported": str(error)}


def table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """A line for each kernel, the head first."""
    lines = [[*HEAD]]
    for row in rows:
        if "shape" not in row or "all_seconds" in row:
            continue
        names = [row["kind"], row["shape"], row.get("precision", "")]
        if why := row.get("failed") or row.get("unsupported"):
            lines.append([*names, *[""] * 5, why])
            continue
        torch = row["torch_seconds"]
        lines.append(
            [
                *names,
                f"{row['seconds'] * 1e6:.1f}",
                f"{row['gbps']:,.0f}",
                _share(row["bandwidth_share"]),
                _share(row["gemm_share"]),
                "" if torch is None else f"{torch * 1e6:.1f}",
                "WRONG" if row["wrong"] else "" if torch is None else f"{row['ratio']:.2f}",
            ]
        )
    return lines


def algorithms_table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """The one that is taken beside the best of all that a library offers, a line a problem."""
    lines = [["library", "problem", "precision", "algorithms", "taken, µs", "taken / best"]]
    for row in rows:
        if "all_seconds" in row:
            count, ratio = len(row["all_seconds"]), row["taken_over_best"]
            library = row["kind"].removeprefix("algorithms of ")
            times = [f"{row['seconds'] * 1e6:.1f}", f"{ratio:.2f}"]
            lines.append([library, row["shape"], row["precision"], f"{count}", *times])
    return lines


def _share(x: float | None) -> str:
    return "" if x is None else f"{100 * x:.0f}%"
