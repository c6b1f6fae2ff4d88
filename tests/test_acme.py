"""tests/acme: snake, a whole plugin, and what all examples are; and kernels from outside."""

import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec

import numpy as np
import pytest
from strangers import ACME, install, install_acme, run_python

import tensorgraph as tg
from tensorgraph import backend, config, execute
from tensorgraph.discovery import Plugins
from tensorgraph.errors import ConfigError, ConflictError, MissingKernelError, PluginError

USE = """
import sys
import tensorgraph as tg

assert "acme_snake" not in sys.modules, "plugins are loaded on first use of a registry"
snake = tg.activations.snake
for registry in (tg.activations, tg.layers, tg.plugins.ops):
    assert registry.plugin_of("snake") == "acme_snake"
info = tg.plugins.infos["acme_snake"]
assert (info.distribution, info.version, info.error) == ("acme-snake", "1.0", None)
assert {("activation", "snake"), ("kernel", "numpy/snake/in_place"), ("layer", "snake"),
        ("op", "snake")} <= {*info.registered}
assert "numpy" not in sys.modules, "registering imports no array library"

import numpy as np
from tensorgraph.testing import gradcheck
x = np.linspace(-3, 3, 7)
np.testing.assert_allclose(snake(tg.tensor(x), a=2.0).numpy(), x + np.sin(2 * x) ** 2 / 2)
gradcheck(lambda x: snake(x, a=0.5), [x], order=2)
rows = np.linspace(-3, 3, 24).reshape(2, 3, 4)
gradcheck(tg.ops.snake, [rows, np.array([[0.5], [1.5], [-2.0]])], order=2)

layer = tg.layers.snake()
y = layer(tg.tensor(np.ones((2, 3, 4, 4), "float32")))
assert (y.shape, layer.a.shape) == ((2, 3, 4, 4), (3, 1, 1))
y.sum().backward()
assert layer.a.grad.shape == (3, 1, 1)

kernels = [n.split("/")[-1] for n in tg.plugins.kernels if n.startswith("numpy/snake/")]
assert not {*sys.modules} & {f"acme_snake.{name}" for name in kernels}, "imported on first use"
large, a = np.linspace(-3, 3, 6000).reshape(3, 2000), np.array([[0.5], [1.5], [-2.0]])
want = large + np.sin(a * large) ** 2 / a
for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-6)):
    given = tg.tensor(large.astype(dtype)), tg.tensor(a.astype(dtype))
    for name in [*kernels, "portable"]:
        with tg.use(kernels={"snake": name}):
            out = tg.ops.snake(*given)
        assert out.dtype == dtype
        np.testing.assert_allclose(out.numpy(), want, rtol=tolerance, atol=tolerance)
assert {f"acme_snake.{name}" for name in kernels} <= {*sys.modules}
with tg.use(kernels={"snake": "in_place"}):
    try:
        snake(tg.tensor(x))
    except tg.errors.MissingKernelError as error:
        assert "kernel 'in_place', which use(kernels=…) asks for, does not support" in str(error)
    else:
        raise AssertionError("a pinned kernel must not be replaced in silence")
for given, message in {(6, 4): "does not broadcast to", (1, 1, 1): "does not broadcast to"}.items():
    try:
        tg.ops.snake(tg.tensor(np.ones((3, 5))), tg.tensor(np.ones(given)))
    except tg.errors.ShapeError as error:
        assert message in str(error)
    else:
        raise AssertionError(given)
print(*kernels)
"""


def test_snake(tmp_path):
    install_acme(tmp_path, "snake")
    compiled = ["compiled"] if find_spec("numba") else []
    assert run_python(USE, tmp_path).split() == ["in_place", *compiled]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(p.name for p in ACME.iterdir() if p.is_dir()))
def test_an_example_can_be_installed(tmp_path, name):
    """Its wheel holds the package, and the entry point by which it is found."""
    pytest.importorskip("hatchling", reason="hatchling is not installed (extra dev)")
    shutil.copytree(ACME / name, tmp_path / name)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=tmp_path / name, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (entry,) = [n for n in archive.namelist() if n.endswith("entry_points.txt")]
        text = archive.read(entry).decode()
        assert f"acme_{name}/__init__.py" in archive.namelist()
    assert text.split() == ["[tensorgraph]", f"acme_{name}", "=", f"acme_{name}"]


def test_nothing_is_loaded_at_import(tmp_path):
    install(tmp_path, "loud", "print('loaded')")
    code = "import tensorgraph, sys; print('numpy' in sys.modules); len(tensorgraph.layers)"
    assert run_python(code, tmp_path) == "False\nloaded\n"


@pytest.fixture
def plugins(monkeypatch):
    """Plugins with the NumPy backend only, whose kernels the engine uses for the test."""
    fresh = Plugins()
    fresh.register(sys.modules[type(config.get_backend("numpy")).__module__.split(".")[0]], "numpy")
    monkeypatch.setattr(fresh, "_backends", {"numpy": config.get_backend("numpy")})
    monkeypatch.setattr(execute, "PLUGINS", fresh)
    monkeypatch.setattr(execute, "_calls", {})
    fresh.on_change.append(execute._calls.clear)
    return fresh


def offering(**kernel):
    class Plugin:
        @tg.hookimpl
        def register_kernels(self, register):
            register(**{"backend": "numpy", "op": "negative", "name": "mine", **kernel})

    return Plugin()


def value():
    return tg.ops.negative(tg.tensor([1.0, 2.0])).numpy().tolist()


def test_a_kernel_that_comes_later_is_used_at_once(plugins):
    assert value() == [-1, -2]
    plugins.register(offering(kernel=lambda x: x * 10), "late")
    assert value() == [10, 20]
    plugins.register(offering(kernel=lambda x: x * 20, name="other"), "later")
    assert value() == [20, 40], "who comes last is asked first"


def test_the_installed_plugins_clear_the_engines_cache():
    assert execute._calls.clear in tg.plugins.on_change


def test_a_kernel_serves_what_it_supports(plugins):
    small = offering(kernel=lambda x: x * 10, supports=lambda x: x.size < 2)
    plugins.register(small, "small")
    assert value() == [-1, -2]
    assert tg.ops.negative(tg.tensor([3.0])).item() == 30


def test_pins(plugins):
    plugins.register(offering(kernel=lambda x: x * 10), "late")
    with tg.use(kernels={"negative": "portable"}):
        assert value() == [-1, -2], "a pin changes what has been looked up before"
        with tg.use(kernels={"negative": "mine"}):
            assert value() == [10, 20]
        with tg.use(kernels={"exp": "portable"}):
            assert value() == [-1, -2], "pins of other ops stay"
        with tg.use(kernels={"negative": None}):
            assert value() == [10, 20]
    assert value() == [10, 20]
    with (
        tg.use(kernels={"negative": "winograd"}),
        pytest.raises(
            MissingKernelError,
            match="no kernel named 'winograd' on backend 'numpy'; it has: mine, portable",
        ),
    ):
        value()
    with pytest.raises(ConfigError, match="no op is named 'negativ'; did you mean 'negative'"):
        tg.use(kernels={"negativ": "mine"})


@pytest.mark.parametrize("where", ["module_not_here:kernel", "math:no_such", "math"])
def test_a_kernel_that_cannot_be_imported(plugins, where):
    plugins.register(offering(kernel=where), "broken")
    message = f"op 'negative': its kernel 'mine' cannot be imported from '{where}': .*; pin another"
    with pytest.raises(PluginError, match=message):
        value()
    with tg.use(kernels={"negative": "portable"}):
        assert value() == [-1, -2]


def test_two_kernels_of_one_name(plugins):
    plugins.register(offering(kernel=np.negative), "a")
    message = "kernel 'numpy/negative/mine' is registered by plugin 'a' and again by plugin 'b'"
    with pytest.raises(ConflictError, match=message):
        plugins.register(offering(kernel=np.negative), "b")


def test_two_ops_of_one_name():
    def negative(x):
        return x

    with pytest.raises(ConflictError) as caught:
        tg.op(negative)
    assert str(caught.value) == (
        f"op 'negative' is declared in tensorgraph.ops.elementwise and again in {__name__}; "
        "kernels find their op by its name: rename one"
    )


def test_an_op_without_any_kernel():
    declared = tg.Op.declared.copy()

    @tg.op
    def of_no_kernel(x: tg.Shaped) -> tg.Spec:
        return tg.Spec(x.shape, x.dtype)

    x = tg.tensor([1.0])
    with pytest.raises(MissingKernelError, match="op 'of_no_kernel' has no portable kernel, and"):
        of_no_kernel(x)
    tg.Op.declared.clear()
    tg.Op.declared.update(declared)
    assert backend.select_kernel(tg.ops.negative, x.backend, [], [x.spec], {}) is not None
