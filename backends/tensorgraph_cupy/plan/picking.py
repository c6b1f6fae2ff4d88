"""Ops on rows that only plans know, and what launches them: elements picked by indices, those added
up again, where the largest is, the order that sorts. Other calls are expanded into these."""

from __future__ import annotations

from typing import Any

from tensorgraph import Shaped, Spec
from tensorgraph.op import op
from tensorgraph.program import Call
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels import index
from tensorgraph_cupy.kernels.spelling import TYPES
from tensorgraph_cupy.plan.setting import Make, Setting
from tensorgraph_cupy.plan.tasks import Launch, Places

MOST = 1 << 36  # comparisons; what wants more is left to the backend's own kernel


@op
def rows_at(x: Shaped, indices: Shaped) -> Spec:
    """Of (n, width) the rows at int64 indices (m,), which may count from the end."""
    return Spec((*indices.shape, x.shape[1]), x.dtype)


@op
def rows_added(g: Shaped, indices: Shaped, *, n: int) -> Spec:
    """The adjoint of ``rows_at``: n rows, each the sum of those of ``g`` at its index."""
    return Spec((n, g.shape[1]), g.dtype)


@op
def largest_at(x: Shaped) -> Spec:
    """Where the first of the largest numbers of each row is."""
    return Spec(x.shape[:1], "int64")


@rows_at.kernel
def _(xp: Any, x: Any, indices: Any) -> Any:
    return x[indices]


@rows_added.kernel
def _(xp: Any, g: Any, indices: Any, *, n: int) -> Any:
    out = xp.zeros((n, g.shape[1]), g.dtype)
    xp.add.at(out, indices, g)
    return out


@largest_at.kernel
def _(xp: Any, x: Any) -> Any:
    return xp.argmax(x, axis=1)


for each in (rows_at, rows_added, largest_at):
    each.flops(lambda *_, **__: 0)


def affordable(n: int, picks: int) -> bool:
    """Whether every row may look at every index."""
    return n * picks <= MOST


def picked(call: Call, setting: Setting) -> Make:
    """``rows_at`` or ``rows_added``."""
    x, indices = call.inputs
    (n, width), picks, dtype = x.spec.shape, indices.spec.size, setting.stored(x)
    adds = call.op.name == "rows_added"
    n = call.params["n"] if adds else n

    def make(places: Places) -> Launch:
        where = [places.address(value) for value in (x, indices, call.out)]
        launch = index.take_add if adds else index.take
        return lambda device: launch(device, dtype, (1, n, width), picks, *where)

    return make


def ordered(call: Call, setting: Setting) -> Make | None:
    """``largest_at``, and ``argsort`` of rows."""
    (x,) = call.inputs
    n = x.spec.shape[-1]
    count, dtype = x.spec.size // n, setting.stored(x)
    sorts = call.op.name == "argsort"
    if dtype not in TYPES or (sorts and not affordable(x.spec.size, n)):
        return None

    def make(places: Places) -> Launch:
        given, out = places.address(x), places.address(call.out)

        def run(device: Device) -> None:
            if sorts:
                index.argsort(device, dtype, count, n, given, out)
            else:
                index.argmax(device, dtype, (count, n, 1), given, out)

        return run

    return make


RULES = {"rows_at": picked, "rows_added": picked, "largest_at": ordered, "argsort": ordered}
