"""Each kernel at the shapes of the reference networks, beside PyTorch's call for the same: time,
bytes, share of what this GPU copies or multiplies at best, and whether the results agree."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tensorgraph_cupy.lib import UnsupportedError

from bench.cuda import limits
from bench.cuda.case import Case, timed
from bench.cuda.counts import ALLOWED as PRECISIONS
from bench.cuda.ground import OWN, Ground
from bench.cuda.moves import moves
from bench.cuda.passes import passes
from bench.cuda.process import Row, earlier
from bench.cuda.products import convolutions, products
from bench.cuda.setting import Setting
from bench.cuda.trained import trained

FAMILIES: tuple[Callable[[bool], Iterator[Case]], ...] = (
    convolutions, products, trained, passes, moves,
)  # fmt: skip
LAST = 2.5  # seconds before the deadline when nothing more is begun: PyTorch looks for algorithms
BESIDE, SHARE = 0.9, 0.8  # of PyTorch's speed with the same libraries, of the bandwidth of copies
LIBRARIES = ("conv", "matmul", "max_pool", "avg_pool", "batch norm")  # what PyTorch has from them


def run(setting: Setting, note: Callable[[Row], object]) -> None:
    ground = Ground(setting)
    best = limits.quick(ground)
    found = [row for row in earlier() if "kind" in row]  # one of each case
    left: list[str] = []
    for case in ordered(setting.small)[len(found) :]:
        if setting.left() < LAST:
            left.append(f"{case.kind}, {case.shape}, {case.precision}")
            continue
        try:
            (row,) = limits.attempted(ground, case.row, functools.partial(_row, ground, case, best))
        except Exception as error:  # it broke the GPU for this process
            note({**case.row, "failed": f"{type(error).__name__}: {error}".splitlines()[0]})
            raise
        note(row)
        found.append(row)
    if left:
        note({"left_out": left})
    for verdict in verdicts(found):
        note({**verdict, "reached": None} if setting.small and "ratio" in verdict else verdict)


def verdicts(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Whether all results are PyTorch's; of each family the shape that is slowest beside PyTorch,
    and of each kind of our own kernels the one that is slowest beside copies. What lies in the
    cache is not measured by these."""
    compared = [row for row in rows if row.get("error") is not None]
    wrong = [f"{row['kind']}, {row['shape']}" for row in compared if row["wrong"]]
    reached = not wrong if compared else None
    yield {"verdict": "kernels' results", "claim": "PyTorch's", "reached": reached, "wrong": wrong}
    for family in LIBRARIES:
        for precision in PRECISIONS:
            of = [r for r in rows if r["kind"].startswith(family) and r["precision"] == precision]
            yield from _slowest(f"{family}, {precision}", "PyTorch", of, "ratio", BESIDE)
    own = [r for r in rows if r.get("by") == OWN and not r.get("in_cache", True)]
    for kind in dict.fromkeys(row["kind"] for row in own):
        of = [row for row in own if row["kind"] == kind]
        yield from _slowest(f"{kind}: bandwidth", "copies", of, "bandwidth_share", SHARE)


def _slowest(
    name: str, against: str, rows: Iterable[Mapping[str, Any]], key: str, wanted: float
) -> Iterator[dict[str, Any]]:
    known = [row for row in rows if row.get(key) is not None]
    if known:
        worst = min(known, key=lambda row: float(row[key]))
        where = f"{name}: {worst['shape']}, the slowest of {len(known)}"
        made = {"verdict": where, "against": against, "ratio": worst[key], "wanted": wanted}
        yield {**made, "reached": worst[key] >= wanted}


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


def _row(ground: Ground, case: Case, best: limits.Best) -> dict[str, Any]:
    try:
        return timed(ground, case, best.of(case.bytes))
    except UnsupportedError as error:
        return {**case.row, "left_out": "a library has nothing for it", "why": str(error)}
