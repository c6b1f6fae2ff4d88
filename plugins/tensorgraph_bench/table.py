"""Tables of results for a terminal."""

from __future__ import annotations

import os
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tensorgraph_bench.gate import SLOWER, Comparison, Rule

RIGHT = ("µs", "GFLOP/s", "GB/s", "limit", "base µs", "head µs", "ratio", "interval")
NOTE = (
    "limit: the share of what this machine does at best, in products of matrices or in copies of "
    "as many bytes, whichever keeps the case longer. * the kernel that is taken unless another is "
    "asked for."
)


def console() -> Console:
    """As wide as the terminal or ``COLUMNS``; a file has room for the longest names."""
    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if wide else 140)


def plain(columns: Iterable[str]) -> Table:
    made = Table(box=None, pad_edge=False)
    for name in columns:
        right = name in RIGHT
        made.add_column(name, header_style="dim", justify="right" if right else "left",
                        no_wrap=right, overflow="fold")  # fmt: skip
    return made


def results(data: Mapping[str, Any]) -> Table:
    """A line for each case; those of one sample stand together, the fastest of them bold."""
    several = len({row["backend"] for row in data["cases"]}) > 1
    where = ("backend",) if several else ()
    made = plain(("sample", *where, "kernel", "µs", "GFLOP/s", "GB/s", "limit"))
    last = ""
    for row in _grouped(data["cases"]):
        first = row["sample"] != last
        last = row["sample"]
        made.add_row(
            escape(last) if first else "",
            *(row[key] for key in where),
            escape(row["kernel"]) + " *" * row["chosen"],
            microseconds(statistics.median(row["seconds"])),
            _rate(row["gflops"]),
            _rate(row["gbps"]),
            "" if row["share"] is None else f"{100 * row['share']:.0f}%",
            style="bold" if row["fastest"] else None,
        )
    return made


def _grouped(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    samples: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        samples.setdefault(row["sample"], []).append(row)
    found = []
    for group in samples.values():
        order = sorted(group, key=lambda row: statistics.median(row["seconds"]))
        found += [{**row, "fastest": i == 0 < len(order) - 1} for i, row in enumerate(order)]
    return found


def microseconds(seconds: float) -> str:
    shown = seconds * 1e6
    return f"{shown:.2f}" if shown < 10 else f"{shown:,.1f}" if shown < 1000 else f"{shown:,.0f}"


def _rate(x: float) -> str:
    return f"{x:.1f}" if x >= 0.05 else ""


def conditions(data: Mapping[str, Any]) -> list[str]:
    """On what it was measured, and the limits."""
    here = data["machine"]
    lines = [
        f"{here['processor']}, {here['cores']} cores, threads: {here['threads']} "
        f"(machine {data['fingerprint']}); "
        + ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    ]
    for name, best in data["limits"].items():
        rates = [f"{x / 1e9:.0f} GB/s in {_size(int(size))}" for size, x in best["bytes"].items()]
        lines.append(f"{name}: {best['flops'] / 1e9:.0f} GFLOP/s, {', '.join(rates)}")
    return [*lines, NOTE]


def _size(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def comparisons(found: Sequence[Comparison]) -> Table:
    """A line for each case of a comparison of base and head."""
    made = plain(
        ("sample", "kernel", "base µs", "head µs", "ratio", "interval", "rounds", "verdict")
    )
    for each in found:
        sample, _, kernel = each.name.partition(" on ")
        given = each.judgement
        made.add_row(
            escape(sample),
            escape(kernel.replace(" by ", " ")),
            microseconds(given.base),
            microseconds(given.head),
            f"{given.ratio:.3f}",
            f"{given.low:.3f} … {given.high:.3f}",
            str(len(each.base)),
            given.verdict + f" ({given.why})" * bool(given.why),
            style="bold" if given.verdict == SLOWER else None,
        )
    return made


def summary(found: Sequence[Comparison], rule: Rule) -> str:
    """How many of each verdict, and what they mean."""
    counts = Counter(each.judgement.verdict for each in found)
    said = (
        ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "nothing compared"
    )
    return (
        f"{said}. Slower: the whole {100 * rule.confidence:g} % interval of head / base is above "
        f"{1 + rule.tolerance:.2f}, and they are {rule.floor * 1e6:g} µs apart or more; unclear: "
        f"it was on both sides of a limit even after {rule.most} rounds, which is no regression."
    )
