"""Times cases and keeps what was found: figures of each, and a file that can be compared with."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tensorgraph import config
from tensorgraph.errors import ConfigError
from tensorgraph_bench import clock
from tensorgraph_bench.cases import Case
from tensorgraph_bench.limits import Limits, limits
from tensorgraph_bench.machine import fingerprint, machine, versions
from tensorgraph_bench.verify import Ready, ready

FORMAT = 1
KEYS = ("format", "machine", "fingerprint", "versions", "limits", "cases", "failures")


class Figures(NamedTuple):
    """Of a case: its rates in a second, and the share of what the machine does at best. The share
    is None where nothing is computed or moved; intensity is operations for each byte."""

    flops: int
    bytes: int
    gflops: float
    gbps: float
    intensity: float | None
    share: float | None


def figures(made: Ready, seconds: float, best: Limits) -> Figures:
    flops, moved = made.flops, made.bytes
    work = flops > 0 or moved > 0
    return Figures(
        flops,
        moved,
        flops / seconds / 1e9,
        moved / seconds / 1e9,
        flops / moved if flops and moved else None,
        best.seconds(flops, moved) / seconds if work and moved else None,
    )


def measured(case: Case, seconds: float) -> dict[str, Any]:
    """Verify a case, time it and say what was found, as it goes into a file."""
    made = ready(case)
    with case.pinned():
        found = clock.turns(made.call, clock.clock_of(made.backend), seconds)
    return {
        "name": str(case),
        "op": case.sample.op,
        "sample": str(case.sample),
        "backend": case.backend,
        "kernel": case.kernel,
        "chosen": case.chosen,
        "dtype": made.dtype,
        "seconds": found,
        **figures(made, statistics.median(found), limits(case.backend, made.dtype))._asdict(),
    }


def run(
    found: Sequence[Case], seconds: float, say: Callable[[str], object] = lambda text: None
) -> dict[str, Any]:
    """Time all of these; one that fails is noted and the others go on."""
    rows, failures = [], {}
    for i, case in enumerate(found):
        say(f"{i + 1} of {len(found)}: {case}")
        try:
            rows.append(measured(case, seconds))
        except (Exception, MemoryError) as error:  # whatever a stranger's kernel raises
            failures[str(case)] = f"{type(error).__name__}: {error}"
    return {**conditions(rows), "cases": rows, "failures": failures}


def conditions(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a result is worth nothing without."""
    kinds = sorted({(row["backend"], row["dtype"]) for row in rows})
    described = machine(devices({name for name, _ in kinds}))
    return {
        "format": FORMAT,
        "machine": described,
        "fingerprint": fingerprint(described),
        "versions": versions(),
        "limits": {
            f"{name} {dtype}": {
                "flops": limits(name, dtype).flops,
                "bytes": {str(size): x for size, x in limits(name, dtype).bandwidths.items()},
            }
            for name, dtype in kinds
        },
    }


def devices(names: Iterable[str]) -> dict[str, str]:
    """The devices of those backends that compute elsewhere than on the host."""
    clocks = {name: clock.clock_of(config.get_backend(name)) for name in sorted(names)}
    named = {name: getattr(now, "device", "") for name, now in clocks.items()}
    return {name: device for name, device in named.items() if device}


def load(path: Path) -> dict[str, Any]:
    """What ``--json`` wrote. Raises ``ConfigError``."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or not {*KEYS} <= data.keys():
        raise ConfigError(
            f"{path} is no result of this version of tensorgraph bench; make one: "
            f"tensorgraph bench --json {path.name}"
        )
    return data


def save(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
