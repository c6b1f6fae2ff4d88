"""The tables of a comparison: on the terminal, and as Markdown in docs/comparison.md."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from bench.compare import figures
from bench.compare.drawn import workload
from bench.compare.variants import RIVAL, Variant

BEGIN, END = "<!-- comparison: begin -->", "<!-- comparison: end -->"
NONE = "–"
LABELS = ["workload", "measured, batch"]
MEMORY = "Peak memory of training, MiB: beyond the import's + the import's"
STARTS = "From import to the first loss, seconds: cold / cold and all compiled / warm"
MIB, MB = 1 << 10, 1e6  # KiB in a MiB, bytes in a MB


class Table(NamedTuple):
    """The first columns, ``labels`` many, are words; the others are figures."""

    title: str
    header: list[str]
    rows: list[list[str]]
    labels: int = 1


def tables(data: Mapping[str, Any], variants: Sequence[Variant]) -> list[Table]:
    """Everything that was measured; a table of which nothing was measured is left out."""
    results = data["results"]
    train = [r for r in results if r["measure"] == "train"]
    made = [
        times(results, variants),
        rivals(results, variants),
        per_variant(MEMORY, train, variants, memory),
        per_variant(STARTS, train, variants, start),
        libraries(data.get("libraries", {})),
        agreement(results),
    ]
    return [table for table in made if table.rows]


def label(result: Mapping[str, Any]) -> list[str]:
    """What was measured, in two columns."""
    title, batch = workload(result["workload"]).title, result["batch"]
    if result["measure"] == "epoch":
        return [title, f"epoch, {batch}"]
    return [title, f"{'training step' if result['measure'] == 'train' else 'inference'}, {batch}"]


def duration(seconds: float) -> str:
    """With three digits, in s, ms or µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            return f"{digits(seconds / size)} {unit}"
    raise AssertionError


def digits(x: float) -> str:
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def timed(found: Mapping[str, Any] | None) -> str:
    if not figures.complete(found):
        return NONE
    assert found is not None
    return duration(statistics.median(found["seconds"]))


def times(results: Sequence[Mapping[str, Any]], variants: Sequence[Variant]) -> Table:
    """All but PyTorch's variants, of which the rival stands for all."""
    shown = [v for v in variants if v.family != RIVAL]
    ours = [v for v in shown if v.family == "tensorgraph"]
    others = [v for v in shown if v not in ours]
    header = [*LABELS, *(v.title for v in ours), "best of PyTorch", *(v.title for v in others)]
    rows = []
    for result in results:
        found = result["variants"]
        best = figures.rival(found, variants)
        cells = [against(found.get(v.name), found[best] if best else None) for v in ours]
        name = best.removeprefix(f"{RIVAL}-") if best else ""
        middle = f"{timed(found[best])}\n{name}" if best else NONE
        rows.append([*label(result), *cells, middle, *(timed(found.get(v.name)) for v in others)])
    return Table("Time, and its ratio to the best of PyTorch: below 1 is faster", header, rows, 2)


def against(found: Mapping[str, Any] | None, best: Mapping[str, Any] | None) -> str:
    """A time, and the median, lowest and highest of its ratio to the rival's in each round."""
    if not figures.complete(found) or not best:
        return timed(found)
    assert found is not None
    ratio = figures.ratio(found["seconds"], best["seconds"])
    return f"{timed(found)}\n{ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"


def rivals(results: Sequence[Mapping[str, Any]], variants: Sequence[Variant]) -> Table:
    shown = [v for v in variants if v.family == RIVAL]
    rows = [[*label(r), *(timed(r["variants"].get(v.name)) for v in shown)] for r in results]
    header = [*LABELS, *(v.title for v in shown)]
    return Table("PyTorch's variants", header, rows if shown else [], 2)


def per_variant(
    title: str, results: Sequence[Mapping[str, Any]], variants: Sequence[Variant], cell: Any
) -> Table:
    """A row for each variant that has anything to show, a column for each workload."""
    rows = [[v.title, *(cell(r["variants"].get(v.name, {})) for r in results)] for v in variants]
    rows = [row for row in rows if set(row[1:]) - {NONE}]
    return Table(title, ["variant", *(r["workload"] for r in results)], rows)


def memory(found: Mapping[str, Any]) -> str:
    """The peak beyond the import, and what the import itself needed."""
    peak, imported = found.get("peak_kib"), found.get("imported_kib")
    if not figures.complete(found) or peak is None or imported is None:
        return NONE
    return f"{digits((peak - imported) / MIB)} + {imported / MIB:.0f}"


def start(found: Mapping[str, Any]) -> str:
    kinds = ("cold", "compiled", "warm")
    if not found.keys() >= set(kinds):
        return NONE
    return " / ".join(digits(found[kind]) for kind in kinds)


def libraries(found: Mapping[str, Any]) -> Table:
    rows = []
    for name, entry in found.items():
        if "missing" in entry:
            rows.append([name, NONE, entry["missing"], NONE, NONE])
            continue
        seconds = [digits(statistics.median(entry[key])) for key in ("import", "first")]
        rows.append([name, entry["version"], f"{entry['bytes'] / MB:.1f}", *seconds])
    header = [
        "library",
        "version",
        "MB installed beyond NumPy",
        "import, s",
        "to a first number, s",
    ]
    return Table("Libraries", header, rows)


def agreement(results: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for result in results:
        values = figures.values_of(result)
        if len(values) < 2:
            continue
        odd = figures.disagreeing(result)
        first = "" if result["measure"] == "infer" else f"{next(iter(values.values()))[0]:.6g}"
        apart = f"{figures.largest_difference(values):.0e}"
        rows.append([*label(result), first, str(len(values)), apart, ", ".join(odd) or "all agree"])
    header = [*LABELS, "first loss", "variants", "furthest apart", "who disagrees"]
    return Table("First losses and outputs from the same weights", header, rows, 2)


def notes(data: Mapping[str, Any], variants: Sequence[Variant]) -> list[str]:
    """On what it was measured, what was left out and why, and how quiet the machine was."""
    here, rounds = data["machine"], data["rounds"]
    said = [
        f"{here['processor']}, {here['threads']} threads, {here['memory_gib']} GiB; Python "
        f"{here['python']}, NumPy {here['numpy']} ({here['blas']}); {rounds} rounds."
    ]
    reasons: dict[tuple[str, str], list[str]] = {}
    for result in data["results"]:
        for v in variants:
            found = result["variants"].get(v.name, {})
            reason = found.get("missing") or found.get("failed", "")
            if reason:
                kind = "" if "missing" in found else "failed: "
                reasons.setdefault((v.title, kind + reason), []).append(result["workload"])
    for (title, reason), where in reasons.items():
        everywhere = len(where) == len(data["results"])
        names = "" if everywhere else f" ({', '.join(dict.fromkeys(where))})"
        said.append(f"{title}: {reason}{names}.")
    shares = [
        s for r in data["results"] for f in r["variants"].values() for s in f.get("others", [])
    ]
    if shares:
        median, highest = statistics.median(shares), max(shares)
        said.append(
            f"Meanwhile other processes kept {median:.2f} processors busy in the median turn, "
            f"{highest:.2f} in the worst."
        )
    return said


def show(console: Console, data: Mapping[str, Any], variants: Sequence[Variant]) -> None:
    for table in tables(data, variants):
        rich = RichTable(title=table.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for i, name in enumerate(table.header):
            side: Any = "left" if i < table.labels else "right"
            rich.add_column(Text(name), justify=side, overflow="fold")
        for row in table.rows:
            rich.add_row(*map(Text, row))  # "tensorgraph[jit]" is no markup
        console.print(rich)
    for note in notes(data, variants):
        console.print(note, markup=False, highlight=False)


def markdown(data: Mapping[str, Any], variants: Sequence[Variant]) -> str:
    """The tables and notes, as they stand between the marks of docs/comparison.md."""
    sections = []
    for table in tables(data, variants):
        rules = ["---"] * table.labels + ["---:"] * (len(table.header) - table.labels)
        lines = ["| " + " | ".join(line) + " |" for line in (table.header, rules, *table.rows)]
        body = "\n".join(line.replace("\n", "<br>") for line in lines)
        sections.append(f"### {table.title}\n\n{body}")
    sections.append("\n".join(f"- {note}" for note in notes(data, variants)))
    return "\n\n".join(sections)


def parts(page: Path) -> tuple[str, str]:
    """What stands before the tables and after them. Raises ``ValueError`` where the page has no
    marks between which they could stand."""
    text = page.read_text("utf-8") if page.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"--docs: {page} has no place for the tables: {BEGIN} and {END}")
    return before, after


def write_docs(page: Path, text: str) -> None:
    """Put ``text`` between the page's marks, in place of what is there."""
    before, after = parts(page)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")
