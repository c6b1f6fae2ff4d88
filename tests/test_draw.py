"""Plans to be read and seen: the listing that ``print`` shows, and the SVG of ``draw``."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from tensorgraph_walks.picture import LETTER
from tensorgraph_walks.text import names as names_of

import tensorgraph as tg

SVG = "{http://www.w3.org/2000/svg}"


def network():
    """Convolutions by tiles and by Winograd's way, batch statistics, pooling, dropout, products."""
    nn, relu = tg.layers, tg.activations.relu
    return nn.sequential(
        nn.conv2d(16, 3, padding=1), nn.batch_norm2d(), relu, nn.max_pool2d(2),
        nn.conv2d(16, 3, padding=1), relu, nn.conv2d(8, 5, stride=2), relu, nn.flatten(),
        nn.dropout(0.1), nn.linear(20), relu, nn.linear(10),
    )  # fmt: skip


def trained(n=16):
    """A compiled step of training that has run twice, its arguments, model and optimizer."""
    random = np.random.default_rng(0)
    x = tg.tensor(random.standard_normal((n, 3, 16, 16)).astype("float32"))
    labels = tg.tensor(random.integers(0, 10, n))
    model = network()
    model(x)
    optimizer = tg.optimizers.adam(model.parameters(), lr=1e-3)

    @tg.compile
    def step(x, labels):
        loss = tg.ops.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(2):
        step(x, labels)
    return step, (x, labels), model, optimizer


made: dict[str, object] = {}  # a plan of each compiler


@pytest.fixture
def plan(compiler):
    if compiler not in made:
        made[compiler] = trained()[0].plan
    return made[compiler]


def test_a_plan_reads_like_a_program(plan):
    """Every value is made before it is read, in lines that fit the page."""
    lines = str(plan).splitlines()
    assert max(map(len, lines)) <= 110
    first = next(i for i, line in enumerate(lines) if line.startswith("stage 0"))
    text = re.sub(r"\n {6}", " ", "\n".join(lines[first:]))  # lines that were wrapped
    made: set[str] = set()
    for line in text.splitlines():
        if line.startswith("  "):
            outs, _, expression = line.partition(" = ")
            read = set(re.findall(r"\by\d+", expression.partition(":")[0]))
            assert read <= made, f"{read - made} are read before they are made: {line}"
            new = set(re.findall(r"\by\d+", outs))
            assert new and not new & made
            made |= new
    assert set(re.findall(r"\by\d+", text)) == made
    outline = plan.outline()
    names = names_of(outline.program)
    assert made == {names[x] for task in outline.tasks for x in task.outputs}
    assert text.count("\nstage ") + 1 == len(outline.stages)


def test_whatever_is_assigned_is_seen(plan):
    """In the memory of the tensor, or by a line at the end."""
    text = str(plan)
    outline = plan.outline()
    names = names_of(outline.program)
    olds = {tensor: value for value, tensor in outline.program.state.items()}
    assert outline.program.assigned
    for tensor, value in outline.program.assigned.items():
        new, old = names[value], names[olds[tensor]]
        assert f"{new}@{old}" in text or re.search(rf"\b{old} <- \S?{new}\b", text)


def test_signs_are_explained_where_they_are_used(plan):
    legend, _, body = str(plan).partition("\nstage 0")
    for sign in "~+@":
        assert (sign in body) == (f"{sign}y: " in legend or f"y{sign}w: " in legend)


def test_numba_plans_say_where_values_lie():
    pytest.importorskip("numba")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENSORGRAPH_JIT", "wait")
        text = str(trained()[0].plan)
    assert re.search(r"^  ~y\d+: float32\[16,16,\d+,\d+\] = ", text, re.M), "pieces"
    assert re.search(r"= chain\d*\(.*: .*standardize.*relu", text), "chains"
    assert "memory: " in text and "lent by tensors" in text
    assert re.search(r"y\d+@w\d+, y\d+@w\d+, y\d+@w\d+: float32", text), "Adam writes in place"


@pytest.fixture
def svg(plan):
    return ElementTree.fromstring(plan.draw())


def of_class(svg, name):
    return [x for x in svg.iter() if x.get("class") == name]


def test_a_picture_has_a_box_for_each_task(svg, plan):
    boxes = of_class(svg, "task")
    assert [x.get("id") for x in boxes] == [f"task{i}" for i in range(len(plan.outline().tasks))]
    kinds = {x.get("data-kind") for x in boxes}
    assert {"convolution", "product", "chain", "pooling"} <= kinds
    stages = [x.find(f"{SVG}text").text for x in of_class(svg, "stage")]
    begun = [text for text in stages if not text.endswith(", continued")]
    assert begun == [f"stage {i}: {stage.what}" for i, stage in enumerate(plan.outline().stages)]


def test_every_value_leads_from_the_task_that_makes_it_to_those_that_read_it(svg, plan):
    """By lines and tags, which both exist at both ends; nothing is left out."""
    outline = plan.outline()
    makers = {x: i for i, task in enumerate(outline.tasks) for x in task.outputs}

    def root(value):
        return root(outline.views[value]) if value in outline.views else value

    wanted = {
        (f"task{makers[root(x)]}", f"task{i}")
        for i, task in enumerate(outline.tasks)
        for x in task.inputs
        if root(x) in makers
    }
    drawn = [x for x in (*of_class(svg, "edge"), *of_class(svg, "tag")) if x.get("data-from")]
    assert {(x.get("data-from"), x.get("data-to")) for x in drawn} == wanted
    ids = {x.get("id") for x in svg.iter()}
    for x in svg.iter():
        for end in (x.get("data-from"), x.get("data-to")):
            assert end is None or end in ids
        if x.tag == f"{SVG}a":
            assert x.get("href").removeprefix("#") in ids


def test_lines_begin_and_end_at_their_boxes(svg):
    boxes = {x.get("id"): x.find(f"{SVG}rect") for x in of_class(svg, "task")}
    for line in of_class(svg, "edge"):
        points = [tuple(map(float, p[1:].split(","))) for p in line.get("d").split()]
        for point, end in ((points[0], "data-from"), (points[-1], "data-to")):
            x, y, width, height = (
                float(boxes[line.get(end)].get(k)) for k in ("x", "y", "width", "height")
            )
            inside = x - 0.2 <= point[0] <= x + width + 0.2 and y - 0.2 <= point[1] <= y + height
            assert inside or point[1] == pytest.approx(y + height, abs=0.2)


def test_what_is_read_from_outside_is_a_tag(svg, plan):
    outline = plan.outline()
    names = names_of(outline.program)
    outside = {*outline.program.arguments, *outline.program.state}
    read = {names[x] for task in outline.tasks for x in task.inputs if x in outside}
    shown = " ".join(x.get("data-value") for x in of_class(svg, "tag") if not x.get("data-from"))
    assert read <= set(shown.replace("'", "").split())


def test_no_text_lies_on_another_or_outside(svg):
    places = []
    for text in svg.iter(f"{SVG}text"):
        x, y = float(text.get("x")), float(text.get("y"))
        places.append((x, y - 9, x + LETTER * len(text.text), y + 2.5, text.text))
    width, height = float(svg.get("width")), float(svg.get("height"))
    for a, b in itertools.combinations(places, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"{a} and {b}"
    assert all(x >= 0 and y >= 0 and x2 <= width and y2 <= height for x, y, x2, y2, _ in places)


def test_boxes_hold_their_text(svg):
    for box in of_class(svg, "task"):
        rect = box.find(f"{SVG}rect")
        x, y, width, height = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
        for text in box.iter(f"{SVG}text"):
            left, base = float(text.get("x")), float(text.get("y"))
            assert x <= left and left + LETTER * len(text.text) <= x + width + 0.2
            assert y <= base - 9 and base + 2.5 <= y + height


def test_a_picture_is_written_to_a_file(plan, tmp_path):
    path = tmp_path / "plan.svg"
    assert plan.draw(path) == path.read_text("utf-8")


def test_drawing_is_a_walk_that_can_be_replaced(plan, monkeypatch):
    real = tg.plugins.walk
    monkeypatch.setattr(
        tg.plugins, "walk", lambda name, *a: "mine" if name == "draw" else real(name, *a)
    )
    assert plan.draw() == "mine"
    assert {"draw", "profile"} <= set(tg.plugins.walks)


class Silent:
    """A stranger's runner: it runs, and says nothing of how."""

    def __init__(self, runner):
        self.runner = runner

    def run(self, arguments, hosts):
        return self.runner.run(arguments, hosts)


def test_a_runner_that_tells_nothing_is_shown_as_recorded(plan, monkeypatch):
    monkeypatch.setattr(plan, "runner", Silent(plan.runner))
    assert "y0: float32[16,16,16,16] = conv(x0, w0, padding=1)" in str(plan)
    boxes = of_class(ElementTree.fromstring(plan.draw()), "task")
    assert len(boxes) == len(plan.program.calls)
