"""docs/extending: a page for every hook, each with a whole plugin that does what it says."""

import ast
import inspect
import tempfile
import typing
from pathlib import Path

import numpy as np
import pytest
from doc_blocks import blocks
from PIL import Image

import tensorgraph as tg
from tensorgraph import hookspecs
from tensorgraph.discovery import HOOKS, Plugins
from tensorgraph.errors import DataError
from tensorgraph.testing import gradcheck

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "extending"


def ops(registry):
    gradcheck(registry.cube, [np.array([0.5, -2.0])])
    assert registry.cube(tg.tensor([2.0])).item() == 8


def kernels(registry):
    where, kernel = registry["numpy/square/by_hand"]
    assert (where, kernel.op, kernel.run(3)) == ("numpy", "square", 9)
    assert kernel.supports(tg.Spec((1,), "float32"))


def backends(registry):
    with np.errstate():
        made = registry.checked()
        assert made.to_host(made.asarray([1], "float32")).dtype == "float32"
        with pytest.raises(FloatingPointError):
            made.xp.exp(np.float32(1000))


def compilers(registry):
    where, compiler = registry["numpy/watched"]
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = tg.optimizers.sgd([w], lr=0.5)

    def step(x):
        loss = tg.ops.log(w * x).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    program = tg.plugins.walk("record", step, tg.tensor([1.0, 1.0]))
    runner = compiler(program, tg.config.get_backend(where))
    w.assign(tg.tensor([1.0, 2.0]))
    numbers = [np.float32(x) for make, _ in program.hosts for x in make()]
    (loss,) = runner.run([np.float32([1, 1])], numbers)
    assert loss == pytest.approx(np.log(2))
    np.testing.assert_allclose(w.numpy(), [0.5, 1.75])
    infinite = pytest.raises(FloatingPointError, match="log gave NaN or infinity")
    with np.errstate(divide="ignore"), infinite:
        runner.run([np.float32([1, 0])], numbers)
    np.testing.assert_allclose(w.numpy(), [0.5, 1.75])


def walks(registry):
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    found = registry.op_counts(lambda x: (w * x * x).sum().backward(), tg.tensor([3.0, 4.0]))
    assert found == {"multiply": 4, "sum": 1}


def sections(registry):
    from tensorgraph_report.study import Study

    with tempfile.TemporaryDirectory() as folder:
        study = Study.__new__(Study)
        study.folder, study.notes = Path(folder), []
        assert "no history.jsonl" in registry.image_rate(study)
        epochs = [{"epoch": 1, "images_per_second": 200.4}, {"epoch": 2, "images_per_second": 310}]
        study.history = epochs
        assert 'alt="From 200 to 310 images a second."' in registry.image_rate(study)


def checks(registry):
    ((name, text),) = registry.space()
    assert name == "disk"
    assert text.endswith(" GB free")


def layers(registry):
    scale = registry.scale()
    assert scale(tg.tensor(np.ones((2, 3, 4), "float32"))).shape == (2, 3, 4)
    assert scale.weight.shape == (3, 1)


def activations(registry):
    assert registry.relu_squared(tg.tensor([-1.0, 3.0])).numpy().tolist() == [0, 9]


def losses(registry):
    loss = registry.log_cosh(tg.tensor([1.0, 5.0]), tg.tensor([1.0, 4.0]))
    assert loss.item() == pytest.approx(np.log(np.cosh(1)) / 2)


def initializers(registry):
    made = registry.centred(0.5)(tg.Spec((100,), "float64"))
    assert made.dtype == "float64"
    assert np.abs(made.numpy()).max() <= 0.5


def optimizers(registry):
    x = tg.tensor([1.0, -1.0], requires_grad=True)
    optimizer = registry.lion([x], lr=0.25)
    (x * x).sum().backward()
    optimizer.step()
    assert x.numpy().tolist() == [0.75, -0.75]
    x.grad = tg.tensor([-0.1, -0.2])  # the first is outweighed by 0.9 m = 0.018
    optimizer.step()
    assert x.numpy().tolist() == [0.5, -0.5]
    np.testing.assert_allclose(optimizer.memory[0]["m"].numpy(), [0.0188, -0.0218], rtol=1e-5)


def regularizers(registry):
    parameters = {
        "0.weight": tg.tensor([9.0]),
        "0.bias": tg.tensor([2.0]),
        "bias": tg.tensor([1.0]),
    }
    assert registry.biases(0.5)(parameters).item() == 2.5


def schedules(registry):
    assert [registry.linear(0.5)(epoch, 4) for epoch in (0, 2, 4)] == [1, 0.75, 0.5]


def datasets(registry):
    data = registry.stripes.load(None)
    assert data.images.shape == (20, 1, 8, 8)
    assert sorted(i for split in data.splits.values() for i in split) == [*range(20)]


def formats(registry):
    """In a folder and a manifest, beside others; tests/test_formats.py predicts with it."""
    pixels = np.arange(30).reshape(6, 5)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr(tg, "formats", {**tg.formats, "graymap": registry.graymap})
        for i, kind in enumerate(("pgm", "png") * 10):
            path = Path(name, "ab"[i // 10], f"{i}.{kind}")
            path.parent.mkdir(exist_ok=True)
            if kind == "png":
                Image.fromarray(pixels.astype("uint8")).save(path)
            else:
                path.write_bytes(b"P5 5 6 255\n" + pixels.astype("uint8").tobytes())
        paths = sorted(Path(name).rglob("*.p?m")) + sorted(Path(name).rglob("*.png"))
        rows = [f"{p.relative_to(name)},{p.parent.name}" for p in paths]
        Path(name, "m.csv").write_text("\n".join(["path,label", *rows]))
        for path in (Path(name), Path(name, "m.csv")):
            source = tg.datasets["folder" if path.is_dir() else "csv"]
            assert (source.load(path).images == pixels).all()
        deep = Path(name, "a", "0.pgm")
        deep.write_bytes(b"P5 5 6 1000\n" + pixels.astype(">u2").tobytes())
        dataset = tg.datasets.image.load(deep)
        assert (dataset.images[0, 0] == pixels).all() and dataset.white == 1000
        deep.write_bytes(deep.read_bytes()[:-1])
        with pytest.raises(DataError, match=r"0.pgm is cut short: 5x6 pixels do not fit"):
            tg.datasets.image.load(deep)


def augmentations(registry):
    key = tg.tensor([1, 2, 3, 4], dtype="uint32")
    images = tg.tensor(np.zeros((2, 1, 4, 4), "float32"))
    first, again = (registry.noise()(images, key).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert 0.02 < first.std() < 0.1


def models(registry):
    model = registry.pixels(classes=3)
    assert model.infer_shape(tg.Spec((5, 1, 8, 8), "float32")) == tg.Spec((5, 3), "float32")


def metrics(registry):
    scores = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    assert registry.top2(scores, np.array([1, 2])) == 0.5


def callbacks(registry):
    assert hasattr(registry.bell(), "on_end")


def commands(registry):
    registry.ops()


def page_of(hook):
    return FOLDER / f"{hook.removeprefix('register_')}.md"


def example_of(hook):
    """The only block of Python on the hook's page: a whole plugin."""
    (block,) = blocks(page_of(hook), "python")
    return block


@pytest.mark.parametrize("hook", HOOKS)
def test_the_plugin_of_each_hook(hook, capsys, monkeypatch):
    tg.plugins.load()  # or the ops that it declares would be forgotten with the page's
    monkeypatch.setattr(tg.Op, "declared", dict(tg.Op.declared))
    space = {"__name__": "extending"}
    block = example_of(hook)
    exec(compile(block.code, f"{page_of(hook)}:{block.line}", "exec"), space)
    plugins = Plugins()
    old = np.geterr()
    assert len(plugins.register(type("Plugin", (), {hook: staticmethod(space[hook])}), "page")) == 1
    globals()[hook.removeprefix("register_")](plugins.registries[hook])
    np.seterr(**old)
    assert capsys.readouterr().err == ""


def test_the_pages_are_those_of_the_hooks():
    pages = {page.name for page in FOLDER.glob("*.md")}
    assert pages == {"README.md", *(page_of(hook).name for hook in HOOKS)}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_page_has_the_hook_and_its_arguments(hook):
    function = getattr(hookspecs, hook)
    assert function.__doc__
    text = page_of(hook).read_text("utf-8")
    heading = f"# `{hook}({', '.join(inspect.signature(function).parameters)})`\n\n"
    assert text.startswith(heading), f"{page_of(hook)} does not begin with {heading!r}"
    assert not text[len(heading) :].startswith("```"), "a sentence says what is offered"
    link = f"[`{hook}`]({page_of(hook).name})"
    assert link in (FOLDER / "README.md").read_text("utf-8"), f"README.md lacks {link}"


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_gives_register_what_it_takes(hook):
    """What ``register`` takes is its protocol's to say; the page names every argument."""
    protocol = typing.get_type_hints(getattr(hookspecs, hook))["register"]
    takes = inspect.signature(protocol.__call__)
    named = [p.name for p in takes.parameters.values() if p.kind is p.KEYWORD_ONLY]
    tree = ast.parse(example_of(hook).code)
    (implemented,) = [
        n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == hook
    ]
    calls = [n for n in ast.walk(implemented) if isinstance(n, ast.Call)]
    (call,) = [call for call in calls if ast.unparse(call.func) == "register"]
    takes.bind(None, *call.args, **{k.arg: k.value for k in call.keywords})
    assert [k.arg for k in call.keywords] == named
