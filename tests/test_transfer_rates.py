"""Learning rates part by part, beside PyTorch's parameter groups."""

import numpy as np
import pytest

import tensorgraph as tg

try:
    import torch
except ImportError:
    torch = None

OPTIONS = {
    "sgd": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "adamw": {"weight_decay": 0.1},
    "rmsprop": {"momentum": 0.5},
}
THEIRS = {"sgd": "SGD", "adamw": "AdamW", "rmsprop": "RMSprop"}
X = np.random.default_rng(0).standard_normal((6, 3, 8, 8))
Y = np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed (extra peers)")
@pytest.mark.parametrize("name", OPTIONS)
def test_parameter_groups(name, monkeypatch):
    """Three compiled steps in float64, with the gradients' common norm held; the second part is
    unfrozen after the first step, so that it has had fewer updates."""
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    tg.seed(0)
    with tg.use(dtype="float64"):
        model = tg.models.small_cnn(3, filters=(4, 6), dropout=0.0)
        model.infer_shape(tg.Spec((1, 3, 8, 8), "float64"))
        moved = tg.plugins.walk(
            "transfer", model, freeze=["4"], lr={"0": 0.1, "4": 0.3, "10.bias": 2.0}
        )
        moved.begin(0)
        optimizer = moved.optimizer(tg.optimizers[name])(
            model.parameters(), lr=0.01, clip_norm=0.5, **OPTIONS[name]
        )
        twins = {k: torch.tensor(p.numpy().copy()) for k, p in model.named_parameters().items()}
        groups = [{"params": [twins[k]], "lr": 0.01 * f} for k, f in moved.factors.items()]
        theirs = getattr(torch.optim, THEIRS[name])(groups, lr=0.01, **OPTIONS[name])

        @tg.compile
        def step(x, y):
            loss = tg.ops.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        for number in range(3):
            if number == 1:
                model.named_parameters()["4.weight"].requires_grad = True
            optimizer.zero_grad()
            tg.ops.cross_entropy(model(tg.tensor(X)), tg.tensor(Y)).backward()
            for key, parameter in model.named_parameters().items():
                g = parameter.grad
                twins[key].grad = None if g is None else torch.from_numpy(g.numpy().copy())
            step(tg.tensor(X), tg.tensor(Y))
            torch.nn.utils.clip_grad_norm_(twins.values(), 0.5)
            theirs.step()
            for key, parameter in model.named_parameters().items():
                np.testing.assert_allclose(
                    parameter.numpy(), twins[key].numpy(), rtol=1e-7, atol=1e-12, err_msg=key
                )
