"""Where the boxes and edges of a drawn plan go: tasks below each other, stages in columns."""

from __future__ import annotations

import dataclasses
import itertools
import math
import textwrap
from collections.abc import Mapping, Sequence

from tensorgraph import Parameter, Tensor
from tensorgraph.op import Op
from tensorgraph.program import Outline, Task, Value
from tensorgraph_walks.listing import Names, operations, ops_of, params_of
from tensorgraph_walks.summary import flops_of_call

LETTER = 7.0  # width of a monospaced letter of 11 pixels, rounded up as some renderers do
ROW = 14.0  # height of a line of text
PAD = 5.0  # around the text of a box
GAP = 18.0  # between boxes, for arrows
HEADER = 24.0  # height of the title of a stage
BETWEEN = 12.0  # space between stages
LANE = 7.0  # between lines beside the boxes
REACH = 14.0  # from a box to the tags on its left
LETTERS, LINES = 40, 3  # of a list of ops
WIDE, TALLEST = 480.0, 2400.0  # a column, about; a stage that is taller goes on in the next one

KINDS = ("convolution", "product", "chain", "pooling", "other")
FAMILIES = ("elementwise", "activation", "reduction", "standardize")  # whose ops make chains


def kind(task: Task) -> str:
    """What kind of work a task is."""
    name = task.calls[0].op.name
    if "conv" in name or "winograd" in name:
        return "convolution"
    if "pool" in name:
        return "pooling"
    if name in ("matmul", "einsum", "product"):
        return "product"
    families = {Op.declared.get(c.op.name, "").rpartition(".")[2] for c in task.calls}
    return "chain" if task.name == "chain" or families <= {*FAMILIES} else "other"


@dataclasses.dataclass
class Tag:
    """What a box reads that no line leads to: tensors, arguments, values from other columns."""

    text: str
    values: list[Value]
    source: int | None = None  # the task that makes it
    frozen: bool = False  # parameters that are not trained


@dataclasses.dataclass
class Box:
    """A task: its title, its cost, its ops, and a row for each value that it makes."""

    number: int
    task: Task
    stage: int
    title: str
    cost: str
    ops: list[str]
    rows: list[str]
    tags: list[Tag] = dataclasses.field(default_factory=list)
    column: int = 0
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0

    @property
    def head(self) -> float:
        """The height of the part that edges from the side lead to."""
        return ROW * (1 + len(self.ops))

    @property
    def height(self) -> float:
        lines = max(1 + len(self.ops) + len(self.rows), len(self.tags))
        return ROW * lines + 2 * PAD

    def port(self, row: int) -> float:
        """Where edges of an output begin."""
        return self.y + PAD + self.head + ROW * (row + 0.5)

    def text_width(self) -> float:
        longest = max(map(len, (f"{self.title}  {self.cost}", *self.ops, *self.rows)))
        return longest * LETTER + 2 * PAD

    def tag_width(self) -> float:
        return max((len(tag.text) for tag in self.tags), default=0) * LETTER


@dataclasses.dataclass
class Panel:
    """A stage."""

    title: str
    boxes: list[Box]
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0

    @property
    def height(self) -> float:
        return HEADER + sum(box.height + GAP for box in self.boxes)


@dataclasses.dataclass
class Edge:
    """A line from an output to the box that reads it: straight down, or in a lane beside."""

    value: Value
    source: Box
    target: Box
    points: list[tuple[float, float]] = dataclasses.field(default_factory=list)


class Picture:
    """A plan laid out: ``panels`` with their boxes, ``edges``, ``width`` and ``height``."""

    def __init__(self, found: Outline, top: float, names: Mapping[str, Tensor]) -> None:
        self.outline = found
        self.names = Names(found, names)
        self.boxes = [
            self._box(number, task, stage)
            for number, (stage, task) in enumerate(
                (i, task) for i, stage in enumerate(found.stages) for task in stage.tasks
            )
        ]
        self.maker = {value: box for box in self.boxes for value in box.task.outputs}
        most = max(TALLEST, math.sqrt(WIDE * sum(box.height + GAP for box in self.boxes)))
        self.panels = [
            panel
            for i, stage in enumerate(found.stages)
            for panel in panels_of(
                f"stage {i}: {stage.what}", [box for box in self.boxes if box.stage == i], most
            )
        ]
        self.columns = columns(self.panels)
        self.edges: list[Edge] = []
        self._connect()
        self.width = self._place(top)
        self.height = max((panel.y + panel.height for panel in self.panels), default=top) + BETWEEN

    def _box(self, number: int, task: Task, stage: int) -> Box:
        found, program = self.outline, self.outline.program
        copied = {
            value: self.names.plain[old]
            for old, tensor in program.state.items()
            if (value := program.assigned.get(tensor)) is not None and value not in found.written
        }
        rows = []
        for value in task.outputs:
            row = f"{self.names.made(value)} {shape_of(value)}"
            if value in copied:
                row += f" → {copied[value]}"
            if value in program.gradients.values():
                row += " → gradient"
            rows.append(row + " → returned" * (value in program.outputs))
        if len(task.calls) == 1:
            (call,) = task.calls
            title = call.op.name if task.name == "chain" else task.name
            ops = params_of(call)
        else:
            title, ops = task.name, ops_of(task)
        lines = textwrap.wrap(ops, LETTERS, max_lines=LINES, placeholder=" …")
        cost = operations(sum(map(flops_of_call, task.calls)))
        return Box(number, task, stage, title, cost, lines, rows)

    def frozen(self, value: Value) -> bool:
        tensor = self.outline.program.state.get(value)
        return isinstance(tensor, Parameter) and not tensor.requires_grad

    def root(self, value: Value) -> Value:
        while value in self.outline.views:
            value = self.outline.views[value]
        return value

    def _connect(self) -> None:
        """Edges within columns, tags for what comes from elsewhere."""
        for column, panels in enumerate(self.columns):
            for box in (box for panel in panels for box in panel.boxes):
                box.column = column
        for box in self.boxes:
            alike: dict[object, Tag] = {}
            for value in dict.fromkeys(map(self.root, box.task.inputs)):
                source = self.maker.get(value)
                if source is not None and source.column == box.column:
                    self.edges.append(Edge(value, source, box))
                elif source is not None:
                    text = f"{self.names[value]} {shape_of(value)} ← stage {source.stage}"
                    box.tags.append(Tag(text, [value], source.number))
                elif value not in self.outline.program.constants:
                    frozen = self.frozen(value)
                    tag = alike.setdefault((value.spec, frozen), Tag("", [], frozen=frozen))
                    tag.values.append(value)
            for tag in alike.values():
                names = " ".join(self.names[value] for value in tag.values)
                tag.text = f"{names} {shape_of(tag.values[0])}" + " frozen" * tag.frozen
                box.tags.insert(0, tag)

    def _place(self, top: float) -> float:
        """Give every box and edge its place; the width of the whole."""
        x = BETWEEN
        for panels in self.columns:
            boxes = [box for panel in panels for box in panel.boxes]
            left = max(box.tag_width() for box in boxes) + REACH + 2 * PAD
            width = max(box.text_width() for box in boxes)
            y = top
            for panel in panels:
                panel.x, panel.y = x, y
                y += HEADER
                for box in panel.boxes:
                    box.x, box.y, box.width = x + left, y, width
                    y += box.height + GAP
                y += BETWEEN
            lanes = self._route([edge for edge in self.edges if edge.source in boxes])
            wide = left + width + PAD + LANE * (lanes + 2)
            wide = max(wide, *(len(panel.title) * LETTER + 2 * PAD for panel in panels))
            for panel in panels:
                panel.width = wide
            x += wide + BETWEEN
        return x

    def _route(self, edges: Sequence[Edge]) -> int:
        """The lines of a column; how many lanes they take. Edges from one value share a lane, and
        short ones lie nearest to the boxes."""
        nets: dict[Value, list[Edge]] = {}
        for edge in edges:
            near = edge.target.number == edge.source.number + 1
            if near and edge.source.stage == edge.target.stage:
                row = edge.source.task.outputs.index(edge.value)
                x = edge.source.x + edge.source.width / 2 + 2 * LANE * row
                edge.points = [(x, edge.source.y + edge.source.height), (x, edge.target.y)]
            else:
                nets.setdefault(edge.value, []).append(edge)
        entries: dict[int, list[Edge]] = {}
        for edge in (edge for net in nets.values() for edge in net):
            entries.setdefault(edge.target.number, []).append(edge)
        lanes: list[list[tuple[float, float]]] = []
        for net in sorted(nets.values(), key=lambda net: net[-1].target.y - net[0].source.y):
            source = net[0].source
            start = source.port(source.task.outputs.index(net[0].value))
            ends = []
            for edge in net:
                into = entries[edge.target.number]
                step = edge.target.head / (len(into) + 1)
                ends.append(edge.target.y + PAD + step * (into.index(edge) + 1))
            span = (start, max(ends))
            free = (i for i, lane in enumerate(lanes) if not any(map(overlaps(span), lane)))
            lane = next(free, len(lanes))
            if lane == len(lanes):
                lanes.append([])
            lanes[lane].append(span)
            right = source.x + source.width
            x = right + PAD + LANE * (lane + 1)
            for edge, end in zip(net, ends, strict=True):
                edge.points = [(right, start), (x, start), (x, end), (right, end)]
        return len(lanes)


def overlaps(span: tuple[float, float]):  # type: ignore[no-untyped-def]
    """Whether another span has something in common with this one."""
    return lambda other: span[0] <= other[1] + LANE and other[0] <= span[1] + LANE


def shape_of(value: Value) -> str:
    """ "64×6×28×28"; the dtype where it is not the usual one."""
    spec = value.spec
    shape = "×".join(map(str, spec.shape)) or "scalar"
    return shape if spec.dtype == "float32" else f"{shape} {spec.dtype}"


def panels_of(title: str, boxes: list[Box], most: float) -> list[Panel]:
    """A stage, in parts of about the same height where it is too tall."""
    ends = list(itertools.accumulate(box.height + GAP for box in boxes))
    n = math.ceil(ends[-1] / most)
    parts = [Panel(f"{title}, continued" if i else title, []) for i in range(n)]
    for box, end in zip(boxes, ends, strict=True):
        parts[math.ceil(end / ends[-1] * n) - 1].boxes.append(box)
    return [part for part in parts if part.boxes]


def columns(panels: Sequence[Panel]) -> list[list[Panel]]:
    """Stages in order, put into columns of about the height of the tallest, or such that the whole
    is about as high as it is wide."""
    total = sum(panel.height + BETWEEN for panel in panels)
    wanted = max([math.sqrt(total * WIDE), *(panel.height for panel in panels)])
    found: list[list[Panel]] = []
    filled = math.inf
    for panel in panels:
        if filled + panel.height > wanted:
            found.append([])
            filled = 0.0
        found[-1].append(panel)
        filled += panel.height + BETWEEN
    return found
