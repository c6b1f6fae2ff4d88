"""The state of layers: before data, shared, frozen, copied, loaded."""

import copy

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.errors import ConfigError, ShapeError

nn = tg.layers


def test_parameters_exist_before_data_and_say_what_is_missing():
    model = nn.sequential(nn.linear(3), nn.linear(2))
    optimizer = tg.optimizers.sgd(model.parameters(), lr=0.1)
    assert list(model.named_parameters()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    with pytest.raises(ConfigError, match=r"this parameter has no shape yet: call the model once"):
        model[0].weight.shape  # noqa: B018
    with pytest.raises(ConfigError, match=r"state: 0.weight has no shape yet: call the model"):
        model.state()
    model(tg.tensor([[1.0, 2.0]])).sum().backward()
    optimizer.step()


def test_a_deep_copy_is_a_model_of_its_own():
    model = nn.sequential(nn.linear(2), nn.batch_norm1d(), nn.linear(1))
    model[2].freeze()
    x = tg.tensor([[1.0, 2.0], [3.0, 5.0]])
    model(x)
    twin = copy.deepcopy(model)
    before = twin(x).numpy()
    assert [p.requires_grad for p in twin.parameters()] == [True] * 4 + [False] * 2
    twin(x).sum().backward()
    assert model[0].weight.grad is None and twin[0].weight.grad is not None
    model.load_state({"0.weight": np.zeros((2, 2)), "0.bias": np.zeros(2)}, strict=False)
    np.testing.assert_array_equal(twin(x).numpy(), before)
    assert not copy.deepcopy(nn.linear(2)).weight.built


def test_shared_layers_have_one_state_under_the_first_of_their_names():
    shared = nn.linear(3)
    model = nn.sequential(shared, shared, nn.linear(3))
    x = tg.tensor(np.ones((1, 3), "float32"))
    model(x).sum().backward()
    assert list(model.state()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert len(model.parameters()) == 4
    twice = {
        f"{i}.{k}": np.full(v.shape, i == 2, "float32")
        for i in range(3)
        for k, v in shared.state().items()
    }  # PyTorch names a shared one under each path
    model.load_state(twice)
    assert model(x).numpy().tolist() == [[1.0, 1.0, 1.0]]


def test_freezing():
    model = nn.sequential(nn.linear(3), nn.linear(2))
    model[0].freeze()
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    model(tg.tensor([[1.0, 2.0]])).sum().backward()
    assert model[0].weight.grad is None and model[1].weight.grad is not None
    model.unfreeze()
    assert all(p.requires_grad for p in model.parameters())
    model(tg.tensor([[1.0, 2.0]])).sum().backward()
    assert model[0].weight.grad is not None


def test_loading_a_state_changes_nothing_unless_all_of_it_fits():
    model = nn.sequential(nn.linear(3), nn.linear(2))
    model(tg.tensor([[1.0, 2.0]]))
    before = {k: v.numpy() for k, v in model.state().items()}
    with pytest.raises(ConfigError, match=r"missing: 1.weight; not in this model: 1.wieght; stri"):
        model.load_state({**{k: v for k, v in before.items() if k != "1.weight"}, "1.wieght": 0})
    wrong = {"0.weight": np.zeros((3, 2)), "1.bias": np.zeros(7)}
    with pytest.raises(
        ShapeError, match=r"load_state: 1.bias is float32\[2\] here, float32\[7\] in t"
    ):
        model.load_state(wrong, strict=False)
    assert all((before[k] == v.numpy()).all() for k, v in model.state().items())
    model.load_state({"1.bias": np.array([5, 6])}, strict=False)
    assert model[1].bias.numpy().tolist() == [5, 6] and model[1].bias.dtype == "float32"


def test_a_value_loaded_before_the_first_input_must_fit_it():
    layer = nn.linear(3)
    layer.load_state({"weight": np.ones((3, 4), "float32"), "bias": np.zeros(3, "float32")})
    with pytest.raises(ShapeError, match=r"float32\[3,4\] was loaded, and an input of this shape"):
        layer(tg.tensor(np.ones((1, 5), "float32")))
    assert layer(tg.tensor(np.ones((1, 4), "float32"))).numpy().tolist() == [[4.0, 4.0, 4.0]]
