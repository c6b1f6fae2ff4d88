"""A roofline plot in SVG: operations in a second against operations for each byte, with the limits
of the machine (Williams, Waterman and Patterson, Communications of the ACM 52, 2009)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from tensorgraph.errors import ConfigError

WIDTH, HEIGHT = 900.0, 560.0  # of the plot with its axes; the list of points stands below
LEFT, RIGHT, TOP, BOTTOM = 70.0, 20.0, 40.0, 50.0
LETTER, ROW = 6.6, 14.0  # of text of 11 pixels
RADIUS, COLUMN = 3.5, 440.0
COLORS = ("#3a6fc4", "#c8702a", "#4b9440", "#a03a6a", "#7a5fb0", "#77707f")
STYLE = """
text { font: 11px "DejaVu Sans Mono", Menlo, monospace; fill: #222; white-space: pre }
.title { font-weight: bold }
.axis text, .limits text, .heading { fill: #555 }
.axis path { stroke: #e4e4e4 }
.limits path { fill: none; stroke: #444; stroke-width: 1.5 }
.limits .cache { stroke-dasharray: 5 4; stroke-width: 1 }
.lead { stroke: #aaa; stroke-width: 0.7 }
"""


class Box(NamedTuple):
    """A rectangle; y grows downwards."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


class Axis(NamedTuple):
    """A logarithmic axis over whole decades, from pixel ``start`` to pixel ``end``."""

    low: int
    high: int
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> Axis:
        low = math.floor(math.log10(min(values)))
        return cls(low, max(low + 1, math.ceil(math.log10(max(values)))), start, end)


def check(path: Path) -> None:
    """Raise ``ConfigError`` unless the name says what to write."""
    if path.suffix not in (".svg", ".html"):
        raise ConfigError(f"--plot {path}: give a file that ends in .svg or .html")


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Write the plot of a result; what ends in .html is a page around it."""
    check(path)
    text = draw(data)
    if path.suffix == ".html":
        text = f'<!doctype html>\n<meta charset="utf-8">\n<title>Roofline</title>\n{text}\n'
    path.write_text(text, "utf-8")


def draw(data: Mapping[str, Any]) -> str:
    """The cases that compute something, as points; each backend and dtype has its limits. Raises
    ``ConfigError`` where there is no such case."""
    rows = [row for row in data["cases"] if row["intensity"]]
    if not rows:
        raise ConfigError("--plot: none of the cases computes anything, so there is no point")
    limits = data["limits"]
    rooms = [(best["flops"], _slope(best)) for best in limits.values()]
    ridges = [flops / slope for flops, slope in rooms]
    x = Axis.over(
        [*(row["intensity"] for row in rows), *(2 * r for r in ridges), *(r / 8 for r in ridges)],
        LEFT, WIDTH - RIGHT,
    )  # fmt: skip
    heights = [*(_speed(row) for row in rows), *(1.5 * flops for flops, _ in rooms)]
    y = Axis.over(heights, HEIGHT - BOTTOM, TOP)
    columns = int(WIDTH // COLUMN)
    height = HEIGHT + ROW * (math.ceil(len(rows) / columns) + 2)
    size = {"width": _number(WIDTH), "height": _number(height)}
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {size['width']} {size['height']}",
            **size,
        },
    )
    _add(root, "style").text = STYLE
    _add(root, "rect", width="100%", height="100%", fill="white")
    here = data["machine"]
    _text(root, 12, 20, f"{here['processor']}, threads: {here['threads']}", "title")
    colors = kernel_colors(rows)
    _legend(root, colors)
    _axes(root, x, y)
    taken = list(_limits(root, x, y, limits))
    _points(root, rows, colors, x, y, taken)
    _list(root, rows, colors, columns)
    return ElementTree.tostring(root, encoding="unicode")


def _slope(best: Mapping[str, Any]) -> float:
    """Bytes in a second from memory: of the largest copies."""
    speed: float = best["bytes"][max(best["bytes"], key=int)]
    return speed


def _speed(row: Mapping[str, Any]) -> float:
    speed: float = row["flops"] / statistics.median(row["seconds"])
    return speed


def kernel_colors(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """A kernel as it is called in the plot → its colour."""
    names = dict.fromkeys(map(_kernel, rows))
    return {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}


def _kernel(row: Mapping[str, Any]) -> str:
    return f"{row['kernel']} on {row['backend']}"


def _legend(root: Any, colors: Mapping[str, str]) -> None:
    """What the colours stand for, in a line that ends at the right edge."""
    group, right = _add(root, "g", **{"class": "legend"}), WIDTH - RIGHT
    for name, color in reversed(list(colors.items())):
        right -= LETTER * len(name)
        _text(group, right, 20, name)
        _add(group, "circle", cx=right - 8, cy=16, r=RADIUS, fill=color)
        right -= 24


def _axes(root: Any, x: Axis, y: Axis) -> None:
    group = _add(root, "g", **{"class": "axis"})
    for power in range(x.low, x.high + 1):
        at = x(10.0**power)
        _add(group, "path", d=f"M{_number(at)},{_number(y.end)} V{_number(y.start)}")
        _text(group, at - LETTER * 2, y.start + 16, _decade(power))
    for power in range(y.low, y.high + 1):
        at = y(10.0**power)
        _add(group, "path", d=f"M{_number(x.start)},{_number(at)} H{_number(x.end)}")
        _text(group, 12, at + 4, _decade(power - 9))
    _text(group, x.start, HEIGHT - 14, "floating-point operations for each byte read or written")
    _text(group, 12, TOP - 8, "GFLOP/s")


def _decade(power: int) -> str:
    return f"{10.0**power:g}"


def _limits(root: Any, x: Axis, y: Axis, limits: Mapping[str, Any]) -> Iterator[Box]:
    """The roof of each backend: copies to the left of where products meet it. Yields where the
    words stand."""
    group = _add(root, "g", **{"class": "limits"})
    for i, (name, best) in enumerate(limits.items()):
        flops, slope = best["flops"], _slope(best)
        cached = max(best["bytes"].values())
        for speed, kind in ((slope, "memory"), (cached, "cache")):
            ridge = flops / speed
            begin = max(10.0**x.low, 10.0**y.low / speed)
            points = [(begin, speed * begin), (ridge, flops), (10.0**x.high, flops)]
            line = " ".join(f"{_number(x(a))},{_number(y(b))}" for a, b in points)
            _add(group, "path", d=f"M{line}", **{"class": kind})
        words = (
            f"{name}: products {flops / 1e9:.0f} GFLOP/s, "
            f"copies {slope / 1e9:.0f} GB/s, dashed in a cache {cached / 1e9:.0f}"
        )
        place = Box(x.end - LETTER * len(words), y(flops) - ROW - 3 - ROW * i, LETTER * len(words),
                    ROW)  # fmt: skip
        _text(group, place.x, place.y + ROW - 4, words)
        yield place


def _points(
    root: Any,
    rows: Sequence[Mapping[str, Any]],
    colors: Mapping[str, str],
    x: Axis,
    y: Axis,
    taken: list[Box],
) -> None:
    """A dot for each case, coloured by its kernel, and its number where nothing else stands."""
    dots = [(x(row["intensity"]), y(_speed(row))) for row in rows]
    taken += [Box(a - RADIUS, b - RADIUS, 2 * RADIUS, 2 * RADIUS) for a, b in dots]
    group = _add(root, "g", **{"class": "points"})
    for i, (row, (a, b)) in enumerate(zip(rows, dots, strict=True)):
        dot = _add(group, "circle", cx=a, cy=b, r=RADIUS, fill=colors[_kernel(row)])
        share = f", {_share(row)}" if _share(row) else ""
        _add(dot, "title").text = f"{row['gflops']:.1f} GFLOP/s{share} {row['name']}"
        word = str(i + 1)
        box = _free(a, b, LETTER * len(word), taken)
        taken.append(box)
        if math.dist((a, b), (box.x + box.width / 2, box.y + box.height / 2)) > 3 * ROW:
            _add(group, "line", x1=a, y1=b, x2=box.x + box.width / 2, y2=box.y + box.height / 2,
                 **{"class": "lead"})  # fmt: skip
        _text(group, box.x, box.y + ROW - 4, word, "label")


def _free(a: float, b: float, width: float, taken: Sequence[Box]) -> Box:
    """The nearest place for a word around a point: on rings that grow until there is one."""
    ring = 0
    while True:
        distance = RADIUS + 2 + 5 * ring
        for step in range(8 + 4 * ring):
            angle = 2 * math.pi * step / (8 + 4 * ring)
            box = Box(
                a + math.cos(angle) * (distance + width / 2) - width / 2,
                b + math.sin(angle) * (distance + ROW / 2) - ROW / 2,
                width,
                ROW,
            )
            inside = box.x >= LEFT and box.x + box.width <= WIDTH and box.y >= TOP
            if (inside or ring > 100) and not any(map(box.overlaps, taken)):
                return box
        ring += 1


def _list(
    root: Any, rows: Sequence[Mapping[str, Any]], colors: Mapping[str, str], columns: int
) -> None:
    """What the numbers stand for."""
    group, height = _add(root, "g", **{"class": "list"}), math.ceil(len(rows) / columns)
    most = int((COLUMN - 20) // LETTER)
    for column in range(columns):
        _text(group, COLUMN * column + 20, HEIGHT + ROW / 2, "    GFLOP/s limit  sample", "heading")
    for i, row in enumerate(rows):
        left = 12 + COLUMN * (i // height)
        top = HEIGHT + ROW * (i % height) + ROW * 1.5
        _add(group, "circle", cx=left, cy=top - 4, r=RADIUS, fill=colors[_kernel(row)])
        words = f"{i + 1:3} {row['gflops']:7.1f} {_share(row):>5}  {row['sample']}"
        _text(group, left + 8, top, words if len(words) <= most else words[: most - 1] + "…")


def _share(row: Mapping[str, Any]) -> str:
    """Of what the machine does at best."""
    return "" if row["share"] is None else f"{100 * row['share']:.0f}%"


def _number(x: float) -> str:
    return f"{x:.1f}".removesuffix(".0")


def _add(parent: Any, tag: str, **attributes: Any) -> Any:
    shown = {k: v if isinstance(v, str) else _number(v) for k, v in attributes.items()}
    return ElementTree.SubElement(parent, tag, shown)


def _text(parent: Any, x: float, y: float, text: str, kind: str = "") -> None:
    made = _add(parent, "text", x=x, y=y, **({"class": kind} if kind else {}))
    made.text = text
