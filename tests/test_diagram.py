"""A model and a step as pictures: boxes, shapes, parameters, operations, what is frozen, lines."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from tensorgraph_walks import picture
from tensorgraph_walks.architecture import architecture

import tensorgraph as tg

SVG = "{http://www.w3.org/2000/svg}"
IMAGE = tg.Spec((1, 3, 32, 32), "float32")


def drawn(model, spec=IMAGE):
    return ElementTree.fromstring(tg.plugins.walk("diagram", model.eval(), spec))


def boxes(root):
    """Path, or name, of each box → its texts."""
    return {
        g.get("data-path"): [t.text for t in g.iter(f"{SVG}text")] for g in root.iter(f"{SVG}g")
    }


def lines(root):
    found = (p for p in root.iter(f"{SVG}path") if p.get("data-from") is not None)
    return {(p.get("data-from"), p.get("data-to")) for p in found}


def test_a_sequence():
    layers = tg.layers
    model = layers.sequential(
        layers.conv2d(8, 3, padding=1), tg.activations.relu, layers.flatten(), layers.linear(5)
    )
    root = drawn(model)
    assert boxes(root) == {
        "input": ["input", "3×32×32"],
        "0": [
            "Conv2d(8, 3, padding=1), then relu",
            "458,752 FLOPs",
            "8×32×32 · 224 parameters",
            "0",
        ],
        "2": ["Flatten", "8192", "2"],
        "3": ["Linear(5)", "81,925 FLOPs", "5 · 40,965 parameters", "3"],
    }
    assert lines(root) == {("input", "0"), ("0", "2"), ("2", "3")}


def test_a_shortcut_is_a_line_of_its_own():
    layers = tg.layers
    body = layers.sequential(layers.conv2d(3, 3, padding=1), layers.batch_norm2d())
    root = drawn(layers.sequential(layers.residual(body), layers.flatten(), layers.linear(2)))
    assert boxes(root)["add"] == ["add", "3,072 FLOPs", "3×32×32"]
    assert {("input", "0.body.0"), ("input", "add"), ("0.body.1", "add")} <= lines(root)


def test_what_is_frozen_is_said():
    layers = tg.layers
    inner = layers.sequential(layers.flatten(), layers.linear(4))
    model = layers.sequential(inner, layers.linear(2))
    inner.freeze()
    root = drawn(model, tg.Spec((1, 1, 2, 3), "float32"))
    assert boxes(root)["0.1"][1:3] == ["52 FLOPs · frozen", "4 · 28 parameters"]
    assert boxes(root)["1"][1:3] == ["18 FLOPs", "2 · 10 parameters"]


class Both(tg.Layer):
    """What it makes is read twice."""

    def __init__(self):
        self.first = tg.layers.linear(4)

    def forward(self, x):
        y = self.first(x)
        return tg.ops.relu(y) + y


def test_an_op_on_what_others_read_too_is_a_box():
    root = drawn(Both(), tg.Spec((1, 3), "float32"))
    assert boxes(root)["relu"] == ["relu", "4 FLOPs", "4"]
    assert lines(root) == {("input", "first"), ("first", "relu"), ("first", "add"), ("relu", "add")}


def test_dropout_is_shown_though_it_does_nothing_now():
    model = tg.layers.sequential(tg.layers.flatten(), tg.layers.dropout(0.5), tg.layers.linear(2))
    assert lines(drawn(model)) == {("input", "0"), ("0", "1"), ("1", "2")}


@pytest.mark.parametrize("name", ["lenet5", "mlp", "neuron", "resnet18", "small_cnn", "vgg_small"])
def test_every_parameter_is_in_one_box(name):
    model = tg.models[name](classes=4)
    steps = architecture(model, IMAGE, 60)
    assert sum(step.parameters for step in steps) == model.summary(IMAGE).parameters
    assert steps[-1].output.shape == (1, 4)
    read = {source for step in steps for source in step.reads}
    assert set(steps) - read == {steps[-1]}, "only the last is read by nobody"


def test_a_large_model_is_drawn_by_its_outer_layers():
    model = tg.models["resnet50"](classes=4)
    steps = architecture(model, IMAGE, 60)
    assert len(steps) <= 60
    assert "layer1.0" in {step.path for step in steps}
    assert sum(step.parameters for step in steps) == model.summary(IMAGE).parameters


def test_the_picture_holds_no_style_and_no_script():
    text = tg.plugins.walk("diagram", tg.models["small_cnn"](), tg.Spec((1, 1, 8, 8), "float32"))
    assert "style" not in text
    assert "script" not in text
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    assert "Conv2d, then BatchNorm2d" in root.get("aria-label")


def test_boxes_do_not_overlap_and_lie_within():
    root = drawn(tg.models["resnet18"](classes=2))
    width, height = float(root.get("width")), float(root.get("height"))
    bottom = 0.0
    for box in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(box.get(k)) for k in ("x", "y", "width", "height"))
        assert y > bottom
        assert x + w <= width
        bottom = y + h
    assert bottom <= height


def test_what_is_long_is_cut():
    root = drawn(tg.models["resnet18"](classes=2))
    assert max(len(text) for texts in boxes(root).values() for text in texts) <= 46
    title, cost, row, path = boxes(root)["layer2.0.downsample.0"]
    assert title.startswith("Conv2d(128, 1, stride=2")
    assert cost == "4,194,304 FLOPs"  # 128·16·16 values, each of 64 products and sums
    assert row == "128×16×16 · 8,192 parameters"
    assert path.startswith("…")
    assert path.endswith("downsample.0")


def plan(model, shape):
    """Of a step of training; what is frozen predicts."""
    x = tg.tensor(np.ones(shape, "float32"))
    labels = tg.tensor(np.zeros(len(x), "int64"))
    model(x)
    optimizer = tg.optimizers.sgd(model.parameters(), lr=0.1)

    @tg.compile
    def step(x, labels):
        loss = tg.ops.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step(x, labels)
    return step.plan


def half_frozen():
    layers = tg.layers
    body = layers.sequential(layers.conv2d(4, 3), tg.activations.relu).freeze()
    return layers.sequential(body, layers.flatten(), layers.linear(2))


def test_a_step_says_what_it_costs_and_what_is_frozen(compiler):
    model = half_frozen()
    root = ElementTree.fromstring(plan(model, (5, 1, 6, 6)).draw(names=model.named_state()))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    tags = {text for text in texts if text and text.endswith("frozen")}
    assert "0.0.weight 4×1×3×3 frozen" in tags
    assert not any("2.weight" in tag for tag in tags)
    assert "170 parameters, 40 of them frozen" in texts[0]
    convolutions = [
        [text.text for text in box.iter(f"{SVG}text")]
        for box in root.iter(f"{SVG}g")
        if box.get("data-kind") == "convolution"
    ]
    assert [texts[0] for texts in convolutions] == ["conv"], "forward, and not back"
    assert "5.8 kFLOPs" in convolutions[0], "of 5 images 4·4·4 values, each of 9 products and sums"
    whole = float(re.search(r"([\d.]+) kFLOPs", texts[0])[1])
    assert sum(map(cost, root.iter(f"{SVG}g"))) / 1e3 == pytest.approx(whole, rel=0.02)


def cost(box):
    """What a box says of its operations, rounded."""
    found = [t.text for t in box.iter(f"{SVG}text") if t.text and t.text.endswith("FLOPs")]
    if box.get("class") != "task" or not found:
        return 0
    number, unit = found[0].split()
    return float(number) * {"F": 1, "k": 1e3, "M": 1e6}[unit[0]]


def test_a_step_without_names_calls_its_tensors_by_numbers(compiler):
    text = plan(half_frozen(), (5, 1, 6, 6)).draw()
    assert "w0 4×1×3×3 frozen" in text


def test_a_tall_stage_goes_on_in_the_next_column(monkeypatch):
    """Boxes stay in their order and none is lost."""
    monkeypatch.setattr(picture, "TALLEST", 300.0)
    found = plan(half_frozen(), (5, 1, 6, 6))
    root = ElementTree.fromstring(found.draw())
    tasks = [g.get("id") for g in root.iter(f"{SVG}g") if g.get("class") == "task"]
    assert tasks == [f"task{i}" for i in range(len(found.outline().tasks))]
    panels = [g for g in root.iter(f"{SVG}g") if g.get("class") == "stage"]
    assert max(float(g.find(f"{SVG}rect").get("height")) for g in panels) < 700


@pytest.mark.parametrize("heights", [[40] * 57, [40] * 200, [10, 900, 10, 20], [5000, 1], [7]])
def test_a_stage_in_parts(heights):
    boxes = [type("Box", (), {"height": height})() for height in heights]
    panels = picture.panels_of("stage 0", boxes, 2400.0)
    assert [box for panel in panels for box in panel.boxes] == boxes
    assert all(panel.boxes for panel in panels)
    if max(heights) < 100:
        assert max(panel.height for panel in panels) <= 2400 + 100
