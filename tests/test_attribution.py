"""Of everything that a plugin brings, and of every error in it, the plugin's name is known."""

import pytest
from strangers import install, run_python

import tensorgraph as tg
from tensorgraph.discovery import Plugins
from tensorgraph.errors import PluginError

LATE = """
import tensorgraph

@tensorgraph.hookimpl
def register_walks(register):
    register("stroll", "nowhere:stroll")

@tensorgraph.hookimpl
def register_compilers(register):
    register(backend="numpy", name="fast", compiler="nowhere:compile")

@tensorgraph.hookimpl
def register_commands(register):
    register("idle", "nowhere:idle")

@tensorgraph.hookimpl
def register_kernels(register):
    register(backend="numpy", op="exp", name="fast", kernel="nowhere:exp")
"""
BECAUSE = "No module named 'nowhere'"
SAID = {
    "tg.plugins.walk('stroll')": "walk 'stroll' of plugin 'late' cannot be imported from "
    f"'nowhere:stroll': {BECAUSE}",
    "[*tg.plugins.compilers_for(tg.config.get_backend('numpy'))]": "compiler 'numpy/fast' of "
    f"plugin 'late' cannot be imported from 'nowhere:compile': {BECAUSE}",
    "import tensorgraph_cli.command as c; c._function('idle')()": "the command 'idle' of plugin "
    f"'late' does not load: {BECAUSE}",
    "tg.ops.exp(tg.tensor(1.0))": "op 'exp': its kernel 'fast' cannot be imported from "
    f"'nowhere:exp': {BECAUSE}; pin another: tg.use(kernels={{'exp': 'portable'}})",
}


def test_what_cannot_be_imported_on_first_use_names_its_plugin(tmp_path):
    install(tmp_path, "late", LATE)
    code = f"""
import tensorgraph as tg
tg.plugins.load()
for act, message in {SAID}.items():
    try:
        exec(act)
    except tg.errors.PluginError as error:
        assert str(error) == message, error
    else:
        raise AssertionError(act)
"""
    run_python(code, tmp_path)


def test_every_name_has_its_plugin():
    for registry in tg.plugins.registries.values():
        for name in registry:
            plugin = registry.plugin_of(name)
            assert plugin == "core" or tg.plugins.manager.has_plugin(plugin), (registry, name)


def test_a_plugin_is_told_what_it_registered_itself():
    class Mine:
        @tg.hookimpl
        def register_losses(self, register):
            register("mine", len)

    plugins = Plugins()
    assert plugins.register(Mine(), "notebook") == [("loss", "mine")]
    assert plugins.losses.plugin_of("mine") == "notebook"
    with pytest.raises(PluginError, match="plugin 'other' registers a loss as 'keys'; a name is a"):
        plugins.register(_loss("keys"), "other")
    with pytest.raises(PluginError, match="loss 'mine' is registered by plugin 'notebook' and aga"):
        plugins.register(_loss("mine"), "other")


def _loss(name):
    class Plugin:
        @tg.hookimpl
        def register_losses(self, register):
            register(name, len)

    return Plugin()
