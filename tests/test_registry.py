"""Registries: mappings with attributes, which plugins registered by hand fill too."""

import pytest
from strangers import holding

import tensorgraph as tg
from tensorgraph.discovery import HOOKS, Plugins
from tensorgraph.errors import ConflictError, UnknownNameError


def test_registering_by_hand():
    plugins = Plugins()
    plugin = holding(register_losses=lambda register: register("mine", len))
    assert plugins.register(plugin, "here") == [("loss", "mine")]
    with pytest.raises(ConflictError, match="a plugin named 'here' is registered already"):
        plugins.register(plugin, "here")
    rival = holding(register_losses=lambda register: register("mine", max))
    with pytest.raises(ConflictError, match="loss 'mine' is registered by plugin 'here' and again"):
        plugins.register(rival, "rival")
    assert plugins.losses.mine is len
    assert not plugins.manager.has_plugin("rival")


def test_registry_is_a_mapping_with_attributes():
    plugins = Plugins()
    offer = {"linear": len, "relu": max}
    plugins.register(
        holding(register_layers=lambda register: [register(*item) for item in offer.items()]), "p"
    )
    layers = plugins.layers
    assert dict(layers) == offer
    assert ("linear" in layers, "tanh" in layers, layers.get("tanh")) == (True, False, None)
    assert (layers.linear, hasattr(layers, "tanh"), "linear" in dir(layers)) == (len, False, True)
    assert repr(layers) == "<layer registry: linear, relu>"
    message = "no layer is named 'linaer'; did you mean 'linear'? Known: linear, relu"
    with pytest.raises(UnknownNameError) as caught:
        layers["linaer"]
    assert str(caught.value) == message
    assert isinstance(caught.value, KeyError)
    with pytest.raises(AttributeError, match="no layer is named 'linaer'; did you mean"):
        layers.linaer  # noqa: B018
    with pytest.raises(UnknownNameError, match="no layer is named 'x'"):
        layers.plugin_of("x")
    with pytest.raises(TypeError):
        layers["x"] = len


def test_every_hook_has_a_public_registry():
    public = {n for n, thing in vars(tg).items() if isinstance(thing, tg.registry.Registry)}
    public |= {"ops", "backends", "kernels", "compilers", "checks"}
    assert {f"register_{n}" for n in public} == {*HOOKS}
