"""A plan as a picture, in SVG: boxes for tasks, lines for values, tags for tensors."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from tensorgraph import Parameter, Tensor
from tensorgraph_walks.listing import Names, headline, operations, ops_of, params_of
from tensorgraph_walks.picture import (
    BETWEEN,
    HEADER,
    KINDS,
    LETTER,
    PAD,
    REACH,
    ROW,
    Box,
    Edge,
    Panel,
    Picture,
    kind,
)
from tensorgraph_walks.summary import flops_of_call

if TYPE_CHECKING:
    from tensorgraph_walks.compiled import Plan

TOP = 64.0  # of the first stage: above it are the title and the legend
FILLS = dict(zip(KINDS, ("#cfe0fc", "#fbdcc4", "#d9eed3", "#f7e6a8", "#e4e2e9"), strict=True))
LINES = dict(zip(KINDS, ("#3a6fc4", "#c8702a", "#4b9440", "#a58a1c", "#77707f"), strict=True))
STYLE = """
text { font-size: 11px; fill: #222; font-family: "DejaVu Sans Mono", Menlo, monospace }
.title { font-weight: bold }
.ops, .tag text { fill: #555 }
a text { fill: #3a6fc4 }
.edge, .reads { fill: none; stroke-width: 1.2 }
.reads { stroke: #999 }
.tag .frozen { fill: #0b7285 }
"""
LEGEND = "~ a piece of the batch at a time; + summed over threads; @w where tensor w lies"


def draw(plan: Plan, names: Mapping[str, Tensor] = MappingProxyType({})) -> str:
    """An SVG of what a plan runs. A box is a task, with what it costs in operations; its rows are
    the values that it makes. Lines lead to the tasks of the same column that read them; other
    inputs are tags on the left, with links to where they come from. ``names`` are of tensors."""
    found = plan.outline()
    picture = Picture(found, TOP, names)
    title = "; ".join([headline(found), *_costs(picture)])
    width = max(picture.width, LETTER * max(len(title), len(LEGEND)) + 2 * BETWEEN)
    size = {"width": _number(width), "height": _number(picture.height)}
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "xmlns:xlink": "http://www.w3.org/1999/xlink",
            "viewBox": f"0 0 {size['width']} {size['height']}",
            **size,
        },
    )
    _add(root, "style").text = STYLE
    defs = _add(root, "defs")
    for name, color in LINES.items():
        arrow = _add(defs, "marker", id=f"end-{name}", viewBox="0 0 6 6", refX=6, refY=3)
        arrow.attrib |= {"markerWidth": "6", "markerHeight": "6", "orient": "auto"}
        _add(arrow, "path", d="M0,0 L6,3 L0,6 z", fill=color)
    _add(root, "rect", width="100%", height="100%", fill="white")
    _text(root, BETWEEN, 20, title, "title")
    x = BETWEEN
    for name, color in FILLS.items():
        _add(root, "rect", x=x, y=30, width=10, height=10, fill=color, stroke=LINES[name])
        _text(root, x + 14, 39, name)
        x += 14 + LETTER * (len(name) + 2)
    _text(root, BETWEEN, 55, LEGEND, "ops")
    for panel in picture.panels:
        _panel(root, panel)
    for edge in picture.edges:
        _edge(root, edge, picture.names)
    for box in picture.boxes:
        _tags(root, box, picture.names)
        _box(root, box, picture.names)
    return ElementTree.tostring(root, encoding="unicode")


def _costs(picture: Picture) -> list[str]:
    """The operations of all tasks, the parameters, and how many of them are frozen."""
    program = picture.outline.program
    cost = operations(sum(map(flops_of_call, (c for box in picture.boxes for c in box.task.calls))))
    held = [v for v, tensor in program.state.items() if isinstance(tensor, Parameter)]
    said = f"{sum(v.spec.size for v in held):,} parameters"
    frozen = sum(v.spec.size for v in held if picture.frozen(v))
    said += f", {frozen:,} of them frozen" * bool(frozen)
    return [*filter(None, [cost]), *[said] * bool(held)]


def _panel(root: Any, panel: Panel) -> None:
    fill = "#f4f6f9" if panel.title.partition(": ")[2].startswith("pieces") else "#faf7f2"
    group = _add(root, "g", **{"class": "stage"})
    height = panel.height
    _add(group, "rect", x=panel.x, y=panel.y, width=panel.width, height=height, fill=fill, rx=4)
    _text(group, panel.x + PAD, panel.y + HEADER - 8, panel.title, "title")


def _box(root: Any, box: Box, names: Names) -> None:
    what = kind(box.task)
    group = _add(root, "g", id=f"task{box.number}", **{"class": "task", "data-kind": what})
    inputs = ", ".join(dict.fromkeys(names[x] for x in box.task.inputs))
    details = [f"task {box.number}: {box.title} of {inputs}", ops_of(box.task)]
    details += [text for call in box.task.calls if (text := params_of(call))]
    _add(group, "title").text = "\n".join(details)
    place = {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "rx": 3}
    _add(group, "rect", **place, fill=FILLS[what], stroke=LINES[what])
    x, y = box.x + PAD, box.y + PAD + ROW - 3
    _text(group, x, y, box.title, "title")
    if box.cost:
        _text(group, box.x + box.width - PAD - LETTER * len(box.cost), y, box.cost, "ops")
    for i, line in enumerate(box.ops):
        _text(group, x, y + ROW * (i + 1), line, "ops")
    for i, row in enumerate(box.rows):
        _text(group, x, y + box.head + ROW * i, row)


def _tags(root: Any, box: Box, names: Names) -> None:
    for i, tag in enumerate(box.tags):
        y = box.y + PAD + ROW * (i + 0.5)
        shown = " ".join(names[value] for value in tag.values)
        group = _add(root, "g", **{"class": "tag", "data-value": shown})
        group.set("data-to", f"task{box.number}")
        inner = group
        if tag.source is not None:
            group.set("data-from", f"task{tag.source}")
            inner = _add(group, "a", href=f"#task{tag.source}")
            inner.set("xlink:href", f"#task{tag.source}")  # for readers of SVG 1.1
        end = box.x - REACH
        kind_of = "frozen" if tag.frozen else ""
        _text(inner, end - len(tag.text) * LETTER, y + 4, tag.text, kind_of)
        _add(group, "path", d=_path([(end + 2, y), (box.x, y)]), **{"class": "reads"})


def _edge(root: Any, edge: Edge, names: Names) -> None:
    what = kind(edge.source.task)
    line = _add(root, "path", d=_path(edge.points), stroke=LINES[what], **{"class": "edge"})
    line.set("marker-end", f"url(#end-{what})")
    line.set("data-value", names[edge.value])
    line.set("data-from", f"task{edge.source.number}")
    line.set("data-to", f"task{edge.target.number}")
    _add(line, "title").text = f"{names[edge.value]}: {edge.value.spec}"


def _path(points: list[tuple[float, float]]) -> str:
    return " ".join(
        f"{'L' if i else 'M'}{_number(x)},{_number(y)}" for i, (x, y) in enumerate(points)
    )


def _number(x: float) -> str:
    return f"{x:.1f}".removesuffix(".0")


def _add(parent: Any, tag: str, **attributes: Any) -> Any:
    shown = {k: v if isinstance(v, str) else _number(v) for k, v in attributes.items()}
    return ElementTree.SubElement(parent, tag, shown)


def _text(parent: Any, x: float, y: float, text: str, kind: str = "") -> None:
    made = _add(parent, "text", x=x, y=y, **({"class": kind} if kind else {}))
    made.text = text
