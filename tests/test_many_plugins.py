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
MAIN = "import sys, tensorgraph_cli as c; sys.exit(c.main"
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
def turns(site, tmp_path_factory):
    """Runs code in processes that have the plugins and in others that have not, in turns: the
    processor times, least first, and what is printed. The clock would measure neighbours. Modules
    are compiled, as installers leave them."""
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    inherited["PYTHONPYCACHEPREFIX"] = str(tmp_path_factory.mktemp("compiled"))

    def run(code, times=9):
        spent = {"alone": [], "beside": []}
        for turn in range(2 * (1 + times)):
            who = ("alone", "beside")[turn % 2]
            paths = [str(site)] * (who == "beside") + [inherited.get("PYTHONPATH", "")]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                [sys.executable, "-c", code],
                env={**inherited, "PYTHONPATH": os.pathsep.join(paths).strip(os.pathsep)},
                capture_output=True,
                text=True,
                check=True,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            spent[who] += [took] if turn > 1 else []  # the first of each compiles
        alone, beside = sorted(spent["alone"]), sorted(spent["beside"])
        print(
            f"median {alone[times // 2] * 1e3:.0f} ms, beside {MANY} plugins "
            f"{beside[times // 2] * 1e3:.0f} ms: {code}"
        )
        return alone, beside, done.stdout

    return run


def test_importing_tensorgraph_costs_no_more(turns):
    code = "import sys, tensorgraph; print([m for m in sys.modules if m.startswith('stranger')])"
    alone, beside, loaded = turns(code)
    assert loaded == "[]\n", "no plugin is loaded, and none is looked for"
    assert beside[0] <= 1.15 * alone[0] + 2e-3


def test_the_command_helps_within_half_a_second(turns):
    _, beside, out = turns(f"{MAIN}(['--help']))")
    assert out.count("does not load") == MANY // 20
    assert beside[0] <= HELP_SECONDS


def test_first_use_and_doctor(turns):
    _, beside, _ = turns("import tensorgraph as tg; tg.layers.linear")
    assert beside[0] <= HELP_SECONDS
    _, beside, out = turns(f"{MAIN}(['doctor']))", times=3)
    assert out.count(" ms, stranger_many") == MANY
    assert beside[0] <= 4 * HELP_SECONDS


def test_all_of_them_are_there(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    plugins = tg.discovery.Plugins(tg.discovery.load_entry_points)
    assert {f"layer{i}" for i in range(MANY)} <= {*plugins.layers}
    for name in [n for n in sys.modules if n.startswith("stranger_many")]:
        del sys.modules[name]
