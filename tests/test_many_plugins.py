"""What it costs that 200 plugins of strangers are installed."""

import os
import resource
import subprocess
import sys

import pytest
from strangers import install

import tensorgraph as tg

MANY = 200
HELP_SECONDS = 0.5
PLUGIN = """
import tensorgraph

class Layer(tensorgraph.Layer):
    pass

@tensorgraph.hookimpl
def register_layers(register):
    register("layer{0}", Layer)

@tensorgraph.hookimpl
def register_commands(register):
    if {0} % 20 == 0:
        register("command{0}", "nowhere:command")
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the plugins, as an installer leaves them: compiled."""
    folder = tmp_path_factory.mktemp("site")
    for i in range(MANY):
        install(folder, f"many{i}", PLUGIN.format(i), distribution=f"many-{i}")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder)], check=True)
    return folder


def seconds(code, *paths, times=7):
    """Processor time of the fastest of several processes: the clock would measure neighbours."""
    inherited = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, paths), *inherited])}
    spent = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(spent), done.stdout


def test_importing_tensorgraph_costs_no_more(site):
    code = "import sys, tensorgraph; print([m for m in sys.modules if m.startswith('stranger')])"
    alone, _ = seconds(code)
    beside, loaded = seconds(code, site)
    print(f"import tensorgraph: {alone * 1e3:.0f} ms, beside {MANY} plugins {beside * 1e3:.0f} ms")
    assert loaded == "[]\n", "no plugin is loaded, and none is looked for"
    assert beside <= 1.15 * alone + 2e-3


def test_the_command_helps_within_half_a_second(site):
    code = "import sys, tensorgraph_cli; sys.exit(tensorgraph_cli.main(['--help']))"
    alone, _ = seconds(code)
    beside, out = seconds(code, site)
    print(f"tensorgraph --help: {alone * 1e3:.0f} ms, beside {MANY} plugins {beside * 1e3:.0f} ms")
    assert out.count("does not load") == MANY // 20
    assert beside <= HELP_SECONDS


def test_all_of_them_are_there(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    plugins = tg.discovery.Plugins(tg.discovery.load_entry_points)
    assert {f"layer{i}" for i in range(MANY)} <= {*plugins.layers}
    for name in [n for n in sys.modules if n.startswith("stranger_many")]:
        del sys.modules[name]
