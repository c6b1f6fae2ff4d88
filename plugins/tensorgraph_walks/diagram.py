"""A model as a picture, in SVG: a box for each layer, from the input at the top downwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from tensorgraph_walks.architecture import Step, architecture

if TYPE_CHECKING:
    from tensorgraph.layer import Layer
    from tensorgraph.spec import Spec

MOST = 60  # boxes; of larger models only the outer layers are shown
WIDTH, ROW, PAD, GAP, LANE, MARGIN = 330.0, 17.0, 8.0, 18.0, 13.0, 2.0
LETTERS = 46  # of the font below, across a box
FONT = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
INK, QUIET, LINE = "#1b1f24", "#4a5360", "#5d6b7a"
TRAINED, FROZEN, PLAIN = "#dcebf7", "#e0f3ee", "#f4f6f8"  # boxes by their parameters
COLD = "#0b7285"  # the border of what is frozen


def diagram(model: Layer, x: Spec) -> str:
    """An SVG of what ``model`` does with an input of this spec; needs no data.

    A box is a layer, or an op between layers: what it is, the ops done to its result at once, what
    it costs in operations, what is frozen, the shape of what it gives without the batch, and its
    parameters. Lines lead to who reads it. It has no style sheet and no script, so that a page with
    a strict policy can hold it.
    """
    steps = architecture(model, x, MOST)
    rows = {step: _rows(step) for step in steps}
    y, tops = MARGIN, {}
    for step in steps:
        tops[step] = y
        y += _height(rows[step]) + GAP
    lanes = _lanes(steps)
    across = max((lane + 1 for lane in lanes.values()), default=0)
    size = (WIDTH + 2 * MARGIN + (LANE * (across + 1) if across else 0.0), y - GAP + MARGIN)
    parameters = sum(step.parameters for step in steps)
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "diagram",
            "viewBox": f"0 0 {_number(size[0])} {_number(size[1])}",
            "width": _number(size[0]),
            "height": _number(size[1]),
            "role": "img",
            "aria-label": f"Graph of {len(steps) - 1} layers with {parameters:,} parameters: "
            + ", then ".join(step.title.partition("(")[0] for step in steps[1:]),
            "font-family": FONT,
            "font-size": "11.5",
        },
    )
    for step in steps:
        for source in step.reads:
            points = _route(steps, source, step, tops, rows, lanes.get(source))
            _arrow(root, points, source, step)
    for step in steps:
        _box(root, step, tops[step], rows[step])
    return ElementTree.tostring(root, encoding="unicode")


def _rows(step: Step) -> list[str]:
    shape = "×".join(map(str, step.output.shape[1:])) or "scalar"
    counted = f" · {step.parameters:,} parameters" if step.parameters else ""
    then = f"then {', '.join(step.then)}"
    if not step.then:
        said = [step.title]
    elif len(step.title) + len(then) + 2 <= LETTERS:
        said = [f"{step.title}, {then}"]
    else:
        said = [step.title, then]
    return [*said, *_costs(step), shape + counted]


def _costs(step: Step) -> list[str]:
    """Operations for one image, and what of the parameters is frozen."""
    said = [f"{step.flops:,} FLOPs"] if step.flops else []
    if step.trainable < step.parameters:
        part = "" if not step.trainable else f"{step.parameters - step.trainable:,} "
        said.append(f"{part}frozen")
    return [" · ".join(said)] if said else []


def _height(rows: list[str]) -> float:
    return ROW * len(rows) + PAD


def _lanes(steps: list[Step]) -> dict[Step, int]:
    """A lane beside the boxes for each step that is read by another than the next."""
    at = {step: i for i, step in enumerate(steps)}
    taken: list[int] = []  # where each lane is free again
    found = {}
    for source in steps:
        far = [at[step] for step in steps if source in step.reads and at[step] != at[source] + 1]
        if far:
            lane = next((i for i, end in enumerate(taken) if end <= at[source]), len(taken))
            taken[lane:] = [max(far), *taken[lane + 1 :]]
            found[source] = lane
    return found


def _route(
    steps: list[Step],
    source: Step,
    step: Step,
    tops: dict[Step, float],
    rows: dict[Step, list[str]],
    lane: int | None,
) -> list[tuple[float, float]]:
    bottom = tops[source] + _height(rows[source])
    middle = MARGIN + WIDTH / 2
    if steps.index(step) == steps.index(source) + 1:
        return [(middle, bottom), (middle, tops[step])]
    right = MARGIN + WIDTH
    x = right + LANE * ((lane or 0) + 1)
    out, into = bottom - PAD, tops[step] + PAD
    return [(right, out), (x, out), (x, into), (right, into)]


def _arrow(root: Any, points: list[tuple[float, float]], source: Step, step: Step) -> None:
    path = "M" + " L".join(f"{_number(x)},{_number(y)}" for x, y in points)
    (x, y), (before, _) = points[-1], points[-2]
    head = f"M{x - 4},{y - 6} L{x},{y} L{x + 4},{y - 6}"
    if before != x:
        head = f"M{x + 6},{y - 4} L{x},{y} L{x + 6},{y + 4}"
    line = _add(root, "path", d=f"{path} {head}", fill="none", stroke=LINE)
    line.set("data-from", source.path or source.title)
    line.set("data-to", step.path or step.title)


def _box(root: Any, step: Step, top: float, rows: list[str]) -> None:
    group = _add(root, "g", **{"data-path": step.path or step.title})
    _add(group, "title").text = "\n".join([*([step.path] if step.path else []), *rows])
    place = {"x": MARGIN, "y": top, "width": WIDTH, "height": _height(rows), "rx": 4}
    fill = TRAINED if step.trainable else FROZEN if step.parameters else PLAIN
    _add(group, "rect", **place, fill=fill, stroke=COLD if fill == FROZEN else LINE)
    for i, text in enumerate(rows):
        shown = text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
        line = _add(
            group, "text", x=MARGIN + PAD, y=top + ROW * (i + 1) - 2, fill=QUIET if i else INK
        )
        line.text = shown
        if i == 0:
            line.set("font-weight", "600")
    if step.path:  # at the end of the last row, where its end is what tells paths apart
        room = LETTERS - len(rows[-1]) - 2
        right = {"x": MARGIN + WIDTH - PAD, "y": top + ROW * len(rows) - 2}
        path = _add(group, "text", **right, fill=QUIET)
        path.set("text-anchor", "end")
        path.text = step.path if len(step.path) <= room else "…" + step.path[1 - room :]


def _number(x: float) -> str:
    return f"{x:.1f}".removesuffix(".0")


def _add(parent: Any, tag: str, **attributes: Any) -> Any:
    shown = {k: v if isinstance(v, str) else _number(v) for k, v in attributes.items()}
    return ElementTree.SubElement(parent, tag, shown)
