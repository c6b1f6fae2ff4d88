"""Plugins of strangers: found, isolated where they are bad, in conflict, switched off."""

import sys
import threading
import warnings

import pytest
from strangers import holding, install

from tensorgraph.discovery import Plugins, load_entry_points
from tensorgraph.errors import PluginError, UnknownNameError

GOOD = """
import tensorgraph
@tensorgraph.hookimpl
def register_layers(register):
    register("good_layer", len)
"""
LAYERS = "import tensorgraph\n@tensorgraph.hookimpl\ndef register_layers(register):\n"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path to install strangers into; their modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("TENSORGRAPH_STRICT_PLUGINS", raising=False)
    monkeypatch.delenv("TENSORGRAPH_DISABLE_PLUGINS", raising=False)
    yield tmp_path
    for name in [n for n in sys.modules if n.startswith("stranger_")]:
        del sys.modules[name]


def load():
    """A fresh set of everything that is installed, and the warnings that loading it gave."""
    plugins = Plugins(load_entry_points)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plugins.load()
    return plugins, [str(w.message) for w in caught]


def test_a_good_plugin(site):
    install(site, "good", GOOD, version="2.5", distribution="acme-good")
    plugins, messages = load()
    assert messages == []
    assert plugins.layers["good_layer"] is plugins.layers.good_layer is len
    assert plugins.layers.plugin_of("good_layer") == "good"
    assert plugins.backends.plugin_of("numpy") == "numpy"
    info = plugins.infos["good"]
    assert info[:4] == ("good", "stranger_good", "acme-good", "2.5")
    assert info.registered == (("layer", "good_layer"),)
    assert (info.error, info.built_in, plugins.infos["numpy"].built_in) == (None, False, True)


OFFER = LAYERS + '    register("mine", len)\n'
BAD = {
    "not importable": ("import package_that_is_not_here", None, "ModuleNotFoundError: No module"),
    "a syntax error": ("def (", None, "SyntaxError: "),
    "exits": ("raise SystemExit(3)", None, "SystemExit: 3"),
    "no such attribute": (
        "",
        "stranger_bad:plugin",
        "AttributeError: module 'stranger_bad' has no",
    ),
    "raises in a hook": (OFFER + "    raise OSError('no licence')", None, "OSError: no licence."),
    "a misspelt hook": (
        OFFER + "@tensorgraph.hookimpl\ndef register_layer(register): pass",
        None,
        "PluginError: no hook is named 'register_layer'; did you mean 'register_layers'? Known: ",
    ),
    "no decorator": (
        OFFER + "def register_models(register): pass",
        None,
        "PluginError: register_models lacks its decorator, @tensorgraph.hookimpl.",
    ),
    "unknown argument": (
        OFFER + "@tensorgraph.hookimpl\ndef register_models(register, device): pass",
        None,
        "PluginValidationError: Plugin 'bad' for hook 'register_models'\nhookimpl definition: "
        "register_models(register, device)\nArgument(s) {'device'} are declared in the hookimpl",
    ),
    "one name twice": (
        OFFER + '    register("mine", max)\n',
        None,
        "ConflictError: plugin 'bad' registers the layer 'mine' twice.",
    ),
    "the name of a built-in": (
        OFFER + "@tensorgraph.hookimpl\ndef register_backends(register): register('numpy', len)",
        None,
        "ConflictError: backend 'numpy' is registered by plugin 'numpy' and again by plugin 'bad'; "
        "rename one, or leave one out: TENSORGRAPH_DISABLE_PLUGINS=bad.",
    ),
    "no name": (
        OFFER + "    register(3, max)\n",
        None,
        "PluginError: plugin 'bad' registers a layer as 3; a name is a string that is not a method",
    ),
    "a method's name": (
        OFFER + "    register('items', max)\n",
        None,
        "PluginError: plugin 'bad' registers a layer as 'items'; a name is a string that is not",
    ),
    "a kernel for no op": (
        OFFER + "@tensorgraph.hookimpl\ndef register_kernels(register):\n"
        "    register(backend='numpy', op='matmull', name='fast', kernel=len)\n",
        None,
        "PluginError: kernel 'fast': no op is named 'matmull'; did you mean 'matmul'? Known: ",
    ),
    "a kernel named as the op's own": (
        OFFER + "@tensorgraph.hookimpl\ndef register_kernels(register):\n"
        "    register(backend='numpy', op='matmul', name='portable', kernel=len)\n",
        None,
        "PluginError: kernel 'portable': so is matmul's own called; choose another name",
    ),
}


SAID_NOTHING = {
    "not importable",
    "a syntax error",
    "exits",
    "no such attribute",
    "unknown argument",
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_plugin_is_isolated(site, what):
    source, value, reason = BAD[what]
    install(site, "bad", source, value=value)
    install(site, "good", GOOD)
    plugins, messages = load()
    assert len(messages) == 1, "one warning"
    start = f"plugin 'bad' ({value or 'stranger_bad'}) was not loaded: {reason}"
    assert messages[0].startswith(start), messages[0]
    assert messages[0].endswith(
        "'tensorgraph doctor' shows more; TENSORGRAPH_DISABLE_PLUGINS=bad leaves it out"
    )
    assert plugins.layers["good_layer"] is len, "the rest works"
    assert plugins.backends.plugin_of("numpy") == "numpy"
    assert not plugins.manager.has_plugin("bad"), "it leaves no trace"
    assert plugins.infos["bad"].error is not None
    assert plugins.infos["bad"].registered == ()
    with pytest.raises(UnknownNameError) as caught:
        plugins.layers["mine"]
    if what in SAID_NOTHING:
        assert str(caught.value).endswith("'tensorgraph doctor' says why: plugin bad")
    else:
        assert str(caught.value).startswith("layer 'mine' is missing: plugin 'bad' was not loaded:")


def test_two_strangers_of_one_mind(site):
    """Neither wins by its place in the alphabet; what they do not share stays with the first."""
    install(site, "ant", LAYERS + "    register('shared', len)\n    register('of_ant', len)\n")
    install(site, "bee", LAYERS + "    register('shared', max)\n    register('of_bee', max)\n")
    install(site, "cow", LAYERS + "    register('shared', min)\n")
    plugins, messages = load()
    assert [m.split(" ")[1] for m in messages] == ["'bee'", "'cow'"]
    reasons = {
        "shared": "layer 'shared' is missing: layer 'shared' is registered by plugin 'ant' and "
        "again by plugin 'cow'; rename one, or leave one out: TENSORGRAPH_DISABLE_PLUGINS=cow",
        "of_bee": "layer 'of_bee' is missing: plugin 'bee' was not loaded: layer 'shared' is ",
    }
    for name, reason in reasons.items():
        with pytest.raises(UnknownNameError) as caught:
            plugins.layers[name]
        assert str(caught.value).startswith(reason)
    assert plugins.layers["of_ant"] is len


def test_the_way_out_of_a_conflict(site, monkeypatch):
    install(site, "ant", LAYERS + "    register('shared', len)\n")
    install(site, "bee", LAYERS + "    register('shared', max)\n")
    monkeypatch.setenv("TENSORGRAPH_DISABLE_PLUGINS", "cow, bee")
    plugins, messages = load()
    assert messages == []
    assert plugins.layers.shared is len
    assert plugins.disabled == ["bee"]
    with pytest.raises(UnknownNameError, match=r"no layer is named 'x'.*Disabled: plugin bee"):
        plugins.layers["x"]


def test_two_plugins_of_one_name(site):
    install(site, "good", GOOD)
    other = site / "other"
    other.mkdir()
    sys.path.append(str(other))
    try:
        install(other, "good", "", value="stranger_other", distribution="elsewhere")
        plugins, messages = load()
    finally:
        sys.path.remove(str(other))
    assert len(messages) == 1
    assert (
        "ConflictError: two plugins are named 'good': stranger_good of stranger_good" in messages[0]
    )
    assert "and stranger_other of elsewhere; uninstall one of them" in messages[0]
    assert plugins.layers.good_layer is len


def test_a_distribution_that_has_lost_its_metadata(site):
    install(site, "good", GOOD)
    (site / "stranger_good-1.0.dist-info" / "METADATA").unlink()
    plugins, messages = load()
    assert messages == []
    assert plugins.infos["good"][:4] == ("good", "stranger_good", "?", "?")


def test_one_module_under_two_names(site):
    install(site, "good", GOOD)
    install(site, "again", "", value="stranger_good", distribution="again")
    plugins, messages = load()
    assert len(messages) == 1
    assert "plugin 'good' (stranger_good) was not loaded: ValueError" in messages[0]
    assert plugins.layers.plugin_of("good_layer") == "again"


def test_strict_plugins(site, monkeypatch):
    install(site, "bad", "raise OSError('no licence')")
    monkeypatch.setenv("TENSORGRAPH_STRICT_PLUGINS", "1")
    plugins = Plugins(load_entry_points)
    for _ in range(2):  # it stays an error: there is no half-loaded state to go on with
        with pytest.raises(PluginError, match=r"plugin 'bad' .* was not loaded: OSError: no lic"):
            len(plugins.layers)
    monkeypatch.setenv("TENSORGRAPH_STRICT_PLUGINS", "0")
    assert len(load()[1]) == 1


def test_warnings_as_errors_do_not_stop_the_loading(site):
    install(site, "bad", "raise OSError('no licence')")
    install(site, "good", GOOD)
    plugins = Plugins(load_entry_points)
    with pytest.raises(RuntimeWarning, match="plugin 'bad'"):
        plugins.load()
    assert plugins.layers.good_layer is len


def test_a_plugin_may_look_into_registries_while_it_is_imported(site):
    install(
        site, "ant", "import tensorgraph\nassert 'numpy' in tensorgraph.plugins.backends\n" + GOOD
    )
    assert load()[1] == []


def test_threads_wait_for_the_loading(site):
    plugins = Plugins(lambda plugins: (wait.wait(5), plugins.register(slow, "slow")))
    slow = holding(register_layers=lambda register: register("slow", len))
    wait, found = threading.Event(), []
    threads = [threading.Thread(target=lambda: found.append([*plugins.layers])) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait.set()
    for thread in threads:
        thread.join()
    assert found == [["slow"]] * 3
