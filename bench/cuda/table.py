"""The tables of a run: on the terminal, in README.md and in docs/gpu.md."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from bench.cuda.process import Row

BEGIN, END = "<!-- gpu: begin -->", "<!-- gpu: end -->"
COMMAND = "python bench/gpu.py"
NONE, UNKNOWN = "–", "not measured"
WIDE = 150  # columns of a terminal that does not say
LONG = 90  # characters of a cell
SEVERAL = 12  # names of what was left out; the file has them all
HEADS = {"gbps": "GB/s", "tflops": "TFLOP/s", "theirs": "PyTorch's"}
PROMISED = (
    ("training step of a tiny MLP, an MLP, LeNet-5, a simple CNN", "float32, tf32",
     "PyTorch's tuned eager step takes ≥ 5 times as long, its manual CUDA graph ≥ 1.0 times"),
    ("training step of VGG-small and ResNet-18 on small images, batch 128", "tf32, bfloat16",
     "tuned eager ≥ 1.5 times, the best of PyTorch ≥ 1.0 times"),
    ("training step of ResNet-50 at 224, batch 256", "bfloat16",
     "tuned eager ≥ 1.0 times; images per second, share of the bandwidth limit"),
    ("convolution, product, pooling, batch norm", "all",
     "≥ 0.9 of cuDNN's and cuBLAS' speed through PyTorch; own kernels ≥ 0.8 of copying"),
    ("MNIST and PneumoniaMNIST", "all",
     "the accuracy of NumPy within the spread of seeds; resumed on the other backend"),
    ("every op, gradient and kernel beside NumPy in float64; eager = compiled", "all",
     "float32 within 1e-5, tf32 1e-3, bfloat16 1e-2; the same bits twice"),
    ("10,000 compiled steps", "float32", "no memory and no object more than after 1,000"),
)  # fmt: skip


class Table(NamedTuple):
    title: str
    header: list[str]
    rows: list[list[str]]


def two(x: float) -> str:
    return f"{x:.2f}"


def small(x: float) -> str:
    return f"{x:.1e}"


def percent(x: float) -> str:
    return f"{100 * x:.0f} %"


def mebibytes(x: float) -> str:
    return f"{x / 2**20:,.1f} MiB"


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * size:  # which is rounded to it
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def whole(x: float) -> str:
    return f"{x:,.0f}"


def gigaflop(x: float) -> str:
    return f"{x / 1e9:,.4g} GFLOP"


FORMATS: Mapping[str, Callable[[Any], str]] = {
    **dict.fromkeys(("ratio", "wanted"), two),
    **dict.fromkeys(("error", "allowed", "worst", "off"), small),
    **dict.fromkeys(("seconds", "wall", "first_seconds", "ours", "theirs"), duration),
    **dict.fromkeys(("device", "pool", "pool_used", "host", "memory", "bytes"), mebibytes),
    **{"samples_per_second": whole, "flops": gigaflop},
}
NOTES = ("failed", "left_out", "libraries")  # keys of rows that are said in words


def tables(data: Mapping[str, Any]) -> list[Table]:
    """The verdicts, and a table of each section's rows."""
    made = [Table("What was to be shown", *verdicts(data))]
    for name, section in data["sections"].items():
        rows = [row for row in section["rows"] if not {*NOTES, "verdict", "seed"} & row.keys()]
        names = [*dict.fromkeys(key for row in rows for key in row if scalar(row[key]))]
        cells = [[cell(key, row.get(key)) for key in names] for row in rows]
        heads = [HEADS.get(key, key.replace("_", " ")) for key in names]
        made.append(Table(name, heads, cells))
    return [table for table in made if table.rows]


def verdicts(data: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for section in data["sections"].values():
        for row in section["rows"]:
            if "verdict" in row:
                best = row.get("against") == "best" and row.get("best_of")
                named = f"best of {', '.join(best)}" if best else row.get("against", NONE)
                against = [named, cell("ratio", row.get("ratio"))]
                wanted = f"≥ {row['wanted']:g}" if "wanted" in row else row.get("claim", NONE)
                rows.append([row["verdict"], *against, wanted, reached(row)])
    return ["", "against", "ratio", "wanted", "reached"], rows


def reached(row: Row) -> str:
    return {True: "yes", False: "no"}.get(row.get("reached"), UNKNOWN)  # type: ignore[arg-type]


def scalar(value: Any) -> bool:
    return value is None or (isinstance(value, str | int | float) and "\n" not in str(value))


def cell(key: str, value: Any) -> str:
    if value is None or not scalar(value):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | int) and key in FORMATS:
        return FORMATS[key](value)
    if isinstance(value, float):
        return percent(value) if key.endswith("share") else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value[:LONG]


def notes(data: Mapping[str, Any]) -> Iterator[str]:
    """On what it was measured, and what failed or was left out."""
    if data["emulated"] or data["small"]:
        what = "A rehearsal on this machine's processor" if data["emulated"] else "Smallest sizes"
        yield f"{what}: no figure here says anything about a GPU."
    yield conditions(data)
    for name, section in data["sections"].items():
        if section["ended"] not in ("done",):
            yield f"Section {name}: {section['ended']}: {section['why']}"
        for row in section["rows"]:
            yield from (f"{name}: {said(row, key)}" for key in NOTES if key in row)


def said(row: Row, key: str) -> str:
    """What failed or was left out, with whatever else the row tells."""
    what = row[key]
    if isinstance(what, list):
        more_of_them = f"; and {len(what) - SEVERAL} more" if len(what) > SEVERAL else ""
        what = "; ".join(what[:SEVERAL]) + more_of_them
    more = [f"{k} {cell(k, x)}" for k, x in row.items() if k not in (key, "why") and scalar(x)]
    told = [*more, *([row["why"]] if row.get("why") else [])]
    return f"{key.replace('_', ' ')}: {what}" + (f": {', '.join(told)}" if told else "")


def conditions(data: Mapping[str, Any]) -> str:
    device, commit = data["device"], data.get("commit") or "unknown"
    dirty = " with changes" if data.get("dirty") else ""
    texts = {name: text.partition(":")[0] for name, text in data["versions"].items() if text}
    versions = [f"{name} {text}" for name, text in texts.items()]
    states = [s["state"] for s in data["sections"].values() if s.get("state")]
    driver = [f"driver {states[0]['driver_version']}"] if states else []
    # those after a section are of a GPU that has nothing to do any more
    limits = [f"{s['clocks.max.sm']} MHz and {s['power.limit']} W at most"
              for s in states[-1:] if len(s) > 2]  # fmt: skip
    told = ", ".join([*driver, *limits, *versions])
    return f"{device['name']}, {data['date'][:10]}, commit {commit[:12]}{dirty}; {told}."


def show(data: Mapping[str, Any] | None) -> int:
    """Print a run; the exit status says whether something failed or fell short."""
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    if data is None:
        console.print(unmeasured(), markup=False, highlight=False)
        return 0
    for table in tables(data):
        rich = RichTable(title=table.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for name in table.header:
            rich.add_column(Text(name), overflow="fold")
        for row in table.rows:
            rich.add_row(*map(Text, row))
        console.print(rich)
    for note in notes(data):
        console.print(note, markup=False, highlight=False)
    return 1 if failed(data) else 0


def failed(data: Mapping[str, Any]) -> bool:
    sections = data["sections"].values()
    rows = [row for section in sections for row in section["rows"]]
    meant = [row for row in rows if not (data["emulated"] and "ratio" in row)]  # times are none
    return any(s["ended"] != "done" for s in sections) or any(
        "failed" in row or row.get("reached") is False for row in meant
    )


def unmeasured() -> str:
    return f"No figure has been measured on a GPU so far; where there is one, `{COMMAND}` does it."


def brief(data: Mapping[str, Any] | None) -> str:
    """README's part: the ratios of training steps, and of the others how many were reached."""
    link = "[How, and which figures](docs/gpu.md#measured-on-a-gpu)."
    if data is None:
        return f"{unmeasured()} {link}"
    parts, told = [], []
    for name, section in data["sections"].items():
        rows = [row for row in section["rows"] if "verdict" in row]
        if name == "training" and rows:
            parts.append(markdown(*ratios(rows)))
        elif rows:
            yes = sum(row.get("reached") is True for row in rows)
            told.append(f"{name}: {yes} of {len(rows)} as it must be")
    summary = f" {'; '.join(told)}." if told else ""
    return "\n\n".join([*parts, f"{conditions(data)}{summary} {link}"])


def ratios(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """PyTorch's time over ours: a line for each step, a column for each way of PyTorch's."""
    names = [*dict.fromkeys(row["against"] for row in rows)]
    cells = {(row["verdict"], row["against"]): row for row in rows}

    def shown(row: Row | None) -> str:
        if row is None:
            return NONE
        if row.get("ratio") is None:
            return f"{UNKNOWN} (≥ {row['wanted']:g})"
        lacking = f", without {', '.join(row['lacking'])}" if row.get("lacking") else ""
        return f"{cell('ratio', row['ratio'])} (≥ {row['wanted']:g}){lacking}"

    lines = [
        [step, *(shown(cells.get((step, name))) for name in names)]
        for step in dict.fromkeys(row["verdict"] for row in rows)
    ]
    return ["PyTorch's time / ours (wanted)", *names], lines


def page(data: Mapping[str, Any] | None) -> str:
    """The part of docs/gpu.md."""
    if data is None:
        rows = [[*promise, UNKNOWN] for promise in PROMISED]
        return f"{unmeasured()} These are missing:\n\n" + markdown(
            ["what", "precision", "what it must show", "measured"], rows
        )
    parts = [f"From `bench/results/{data['file']}`."]
    for table in tables(data):
        parts += [f"### {table.title[0].upper()}{table.title[1:]}", markdown(*table[1:])]
    parts.append("\n".join(f"- {one_line(note)}" for note in notes(data)))
    return "\n\n".join(parts)


def one_line(text: str) -> str:
    """The first one, and the last, which says it where the others say how it came there."""
    first, *others = [line.strip() for line in text.splitlines()] or [""]
    return f"{first} … {others[-1]}" if others else first


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(x.replace('|', '/') for x in line)} |" for line in lines)


def write_docs(root: Path, data: Mapping[str, Any] | None) -> int:
    """Put the newest whole run, or that there is none, between the marks of the two pages."""
    for path, text in ((root / "README.md", brief(data)), (root / "docs" / "gpu.md", page(data))):
        path.write_text(renewed(path, text), "utf-8")
    return 0


def renewed(path: Path, text: str) -> str:
    """Raises ``ValueError`` where the page has no marks."""
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the figures: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"
