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
README = "A line of a README, as long as lines in them are, which nobody reads here.\n" * 200

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the plugins, their READMEs in the metadata, as wheels have them."""
    folder = tmp_path_factory.mktemp("site")
    for i in range(MANY):
        install(folder, f"many{i}", PLUGIN.format(i), distribution=f"many-{i}")
    for metadata in folder.glob("*/METADATA"):
        metadata.write_text(metadata.read_text("utf-8") + "\n" + README, "utf-8")
    return folder


@pytest.fixture(scope="module")
def seconds(tmp_path_factory):
    """Runs code in processes of its own: the processor time of the fastest, for the clock would
    measure neighbours, and what it prints. All modules are compiled, as installers leave them."""
    compiled = tmp_path_factory.mktemp("compiled")
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def measure(code, *paths, times=7):
        path = os.pathsep.join([*map(str, paths), inherited.get("PYTHONPATH", "")]).strip(":")
        environment = {**inherited, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": str(compiled)}
        spent = []
        for _ in range(1 + times):
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

    return measure


def test_importing_tensorgraph_costs_no_more(site, seconds):
    code = "import sys, tensorgraph; print([m for m in sys.modules if m.startswith('stranger')])"
    alone, _ = seconds(code)
    beside, loaded = seconds(code, site)
    print(f"import tensorgraph: {alone * 1e3:.0f} ms, beside {MANY} plugins {beside * 1e3:.0f} ms")
    assert loaded == "[]\n", "no plugin is loaded, and none is looked for"
    assert beside <= 1.15 * alone + 2e-3


def test_the_command_helps_within_half_a_second(site, seconds):
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
