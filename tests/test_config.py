"""Settings: precedence, scopes, threads, async tasks, the files they come from, seeds."""

import asyncio
import contextvars
import threading

import pytest
from strangers import run_python

import tensorgraph as tg
from tensorgraph import config
from tensorgraph.config import Choice, choose
from tensorgraph.errors import BackendError, ConfigError, UnknownNameError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, and no setting in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in config.DEFAULTS:
        monkeypatch.delenv(f"TENSORGRAPH_{name.upper()}", raising=False)
    return tmp_path


def afresh():
    """The settings a new process would start from."""
    return contextvars.Context().run(config.current)


def write(folder, text):
    (folder / "pyproject.toml").write_text(text, "utf-8")


def test_defaults(folder):
    assert afresh() == (
        Choice("numpy", "the default"),
        Choice("float32", "the default"),
        Choice("default", "the default"),
        (),
        1,
        None,
    )


def test_each_setting_has_its_own_precedence(folder, monkeypatch):
    write(folder, "[tool.tensorgraph]\nbackend = 'auto'\ndtype = 'float64'\n")
    path = folder / "pyproject.toml"
    assert afresh().dtype == ("float64", f"[tool.tensorgraph] in {path}")
    run_file = [Choice("float32", "run.toml")]
    assert choose("dtype", None, run_file) == ("float32", "run.toml"), "the nearer file wins"
    monkeypatch.setenv("TENSORGRAPH_DTYPE", "float32")
    variable = "the environment variable TENSORGRAPH_DTYPE"
    assert choose("dtype", None, run_file) == ("float32", variable)
    assert choose("dtype", "float64", run_file) == ("float64", "the call")
    assert afresh().dtype == ("float32", variable)
    assert afresh().backend == ("auto", f"[tool.tensorgraph] in {path}"), "the file still has a say"
    with tg.use(dtype="float64"):
        assert config.current().dtype == ("float64", "the call")
    monkeypatch.setenv("TENSORGRAPH_DTYPE", "")
    assert afresh().dtype.value == "float64", "an empty variable says nothing"


def test_precision_is_a_setting_like_the_others(folder, monkeypatch):
    write(folder, "[tool.tensorgraph]\nprecision = 'strict'\n")
    assert afresh().precision == ("strict", f"[tool.tensorgraph] in {folder / 'pyproject.toml'}")
    monkeypatch.setenv("TENSORGRAPH_PRECISION", "default")
    variable = "the environment variable TENSORGRAPH_PRECISION"
    assert afresh().precision == ("default", variable)
    with tg.use(precision="strict"):
        assert config.current().precision == ("strict", "the call")
    monkeypatch.setenv("TENSORGRAPH_PRECISION", "exact")
    with pytest.raises(ConfigError) as caught:
        afresh()
    known = "default, strict, float32, tf32, bfloat16"
    assert str(caught.value) == f"precision 'exact' (from {variable}) is not one of {known}"
    with pytest.raises(ConfigError, match=r"precision 'low' \(from the call\) is not one of"):
        tg.use(precision="low")


def test_the_nearest_pyproject_counts(folder, monkeypatch):
    write(folder, "[tool.tensorgraph]\ndtype = 'float64'\n")
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert afresh().dtype.value == "float64"
    write(inner.parent, "[project]\nname = 'of-another'\n")
    assert afresh().dtype.value == "float32", "a project of its own, without settings"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[tool.tensorgraph]\nbackand = 'numpy'",
            "[tool.tensorgraph] in PATH: no setting is named 'backand'; did you mean 'backend'? "
            "Known: backend, dtype, precision",
        ),
        (
            "[tool.tensorgraph]\nbackend = 3",
            "[tool.tensorgraph] in PATH: backend = 3 is not a string",
        ),
        (
            "[tool.tensorgraph]\ndtype = 'float16'",
            "dtype 'float16' (from [tool.tensorgraph] in PATH) is not one of float32, float64",
        ),
        (
            "[tool.tensorgraph]\nprecision = 'high'",
            "precision 'high' (from [tool.tensorgraph] in PATH) is not one of default, strict",
        ),
        (
            "[tool.tensorgraph\n",
            "PATH is not TOML: Expected ']' at the end of a table declaration ",
        ),
        ("tool.tensorgraph = 1", "[tool.tensorgraph] in PATH is 1, not a table"),
    ],
)
def test_a_bad_pyproject(folder, text, message):
    write(folder, text)
    with pytest.raises(ConfigError) as caught:
        afresh()
    assert str(caught.value).startswith(message.replace("PATH", str(folder / "pyproject.toml")))


def test_another_tools_pyproject_is_its_own_affair(folder):
    write(folder, "this is not TOML")
    assert afresh().backend.value == "numpy"


def test_bad_values_say_where_they_came_from(folder, monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_DTYPE", "double")
    with pytest.raises(
        ConfigError, match=r"dtype 'double' \(from the environment variable TENSORGR"
    ):
        afresh()
    monkeypatch.delenv("TENSORGRAPH_DTYPE")
    monkeypatch.setenv("TENSORGRAPH_BACKEND", "numpi")
    with pytest.raises(UnknownNameError) as caught:
        contextvars.Context().run(lambda: tg.tensor([1.0]))
    text = str(caught.value)
    assert text.startswith("no backend is named 'numpi'; did you mean 'numpy'? Known: cupy, numpy")
    assert text.endswith("(it was chosen by the environment variable TENSORGRAPH_BACKEND)")


def test_use_of_an_unavailable_backend_fails_at_once(monkeypatch):
    plugins = tg.discovery.Plugins()

    class Plugin:
        @tg.hookimpl
        def register_backends(self, register):
            register("remote", self.make)

        def make(self):
            raise BackendError("no network; plug in the cable")

    plugins.register(Plugin(), "remote")
    monkeypatch.setattr(config, "PLUGINS", plugins)
    before = config.current()
    with pytest.raises(BackendError) as caught:
        tg.use(backend="remote", dtype="float64")
    message = "backend 'remote' is not available here: no network; plug in the cable"
    assert str(caught.value) == message
    assert config.current() == before
    with pytest.raises(ConfigError, match=r"dtype 'float16' .* is not one of float32, float64"):
        tg.use(dtype="float16")
    assert config.current() == before


def dtype():
    return tg.tensor(1.0).dtype


def test_scopes_nest_and_end_with_an_error():
    with tg.use(dtype="float64"):
        with pytest.raises(KeyError), tg.use(dtype="float32"):
            assert dtype() == "float32"
            raise KeyError
        assert dtype() == "float64"
        tg.use(dtype="float32")  # from now on, until the end of the block
        assert dtype() == "float32"
    assert dtype() == "float32"


def test_a_thread_has_its_own_settings():
    def other():
        found.append(dtype())
        tg.use(dtype="float64")
        found.append(dtype())

    def run(target):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()

    found = []
    with tg.use(dtype="float64"):
        run(other)
        settings = contextvars.copy_context()
        run(lambda: settings.run(lambda: found.append(dtype())))
    assert found == ["float32", "float64", "float64"], "defaults; its own; the maker's, if copied"
    assert dtype() == "float32"


def test_an_async_task_has_its_own_settings():
    async def task(wanted):
        with tg.use(dtype=wanted):
            for _ in range(3):
                await asyncio.sleep(0)
                assert dtype() == wanted
        return dtype()

    async def main():
        tg.use(dtype="float64")
        return await asyncio.gather(task("float32"), task("float64"), task("float32"))

    assert asyncio.run(main()) == ["float64"] * 3
    assert dtype() == "float32"


def test_no_grad_is_a_scope():
    x = tg.tensor([1.0], requires_grad=True)
    with tg.no_grad():
        assert not (x * x).requires_grad
    assert (x * x).requires_grad


@pytest.mark.parametrize("bad", [-1, 2**64])
def test_seeds_out_of_range(bad):
    with pytest.raises(ConfigError, match=rf"seed: {bad} is not within 0 … 2\*\*64 - 1"):
        tg.seed(bad)


def test_a_seed_starts_all_randomness_anew():
    tg.seed(2**63 + 5)
    first = [config.next_key() for _ in range(3)]
    assert first[0] == [5, 2**31, 0, 0]
    assert len({tuple(key) for key in first}) == 3
    state = config.random_state()
    after = config.next_key()
    config.set_random_state(state)
    assert config.next_key() == after
    tg.seed(2**63 + 5)
    assert [config.next_key() for _ in range(3)] == first
    with pytest.raises(TypeError):
        tg.seed(1.5)


def test_no_key_is_drawn_twice_by_threads():
    tg.seed(0)
    drawn = []
    threads = [
        threading.Thread(target=lambda: drawn.extend(config.next_key()[2] for _ in range(2000)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(drawn) == list(range(8000))


def test_processes_start_from_different_seeds():
    code = "from tensorgraph import config; print(config.random_state())"
    assert run_python(code) != run_python(code)
