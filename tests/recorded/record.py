"""Runs PyTorch and writes what it gives to the .npz files beside this script.

The tests compare with them where PyTorch is not installed, and with a live run of these functions
where it is. To write them anew, with the version that the extra ``peers`` pins::

    cd tests && python -m recorded.record
"""

import torch
from recorded.cases import (
    FROZEN,
    HALVED_AT,
    HERE,
    LAYERS,
    MODES,
    OPTIMIZERS,
    STEPS,
    gradient,
    save,
    starts,
)


def run_layer(name, dtype, seed):
    """A layer with random state: two forward passes in training, one in evaluation, each with its
    gradients, and the state before and after."""
    torch.manual_seed(seed)
    _, make, shape = LAYERS[name]
    layer = make(torch.nn).to(getattr(torch, dtype))
    for x in layer.state_dict().values():
        if x.is_floating_point():
            x.copy_(torch.rand_like(x) + 0.25)
    found = {f"before:{k}": v.clone() for k, v in layer.state_dict().items()}
    for mode, training in MODES:
        layer.train(training)
        layer.zero_grad()
        x = torch.randn(shape, dtype=getattr(torch, dtype))
        x = torch.randint(0, 11, shape) if name == "embedding" else x.requires_grad_()
        y = layer(x)
        g = torch.randn_like(y)
        y.backward(g)
        found[f"{mode}:x"] = x
        if mode == "first":
            continue  # it only moves running statistics
        found |= {f"{mode}:y": y, f"{mode}:seed": g}
        if x.grad is not None:
            found[f"{mode}:grad:x"] = x.grad
        found |= {f"{mode}:grad:{k}": p.grad.clone() for k, p in layer.named_parameters()}
    found |= {f"after:{k}": v for k, v in layer.state_dict().items()}
    return {k: v.detach().numpy() for k, v in found.items()}


def run_optimizer(kind, options, dtype):
    """The parameters after each step."""
    parameters = [torch.tensor(x, requires_grad=True) for x in starts(dtype)]
    optimizer = getattr(torch.optim, kind)(parameters, **options)
    path = {}
    for step in range(STEPS):
        if step == HALVED_AT:
            optimizer.param_groups[0]["lr"] /= 2
        for i, p in enumerate(parameters):
            missing = FROZEN.get(step) == i
            p.grad = None if missing else torch.tensor(gradient(step, i, p.detach().numpy()))
        optimizer.step()
        path |= {f"{step}:{i}": p.detach().numpy().copy() for i, p in enumerate(parameters)}
    return path


def main():
    version = torch.__version__.partition("+")[0]
    layers = {name: run_layer(name, "float64", seed) for seed, name in enumerate(LAYERS)}
    save(HERE / "layers.npz", version, layers)
    runs = {
        f"{name}/{i}": run_optimizer(kind, options, "float64")
        for name, (kind, cases) in OPTIMIZERS.items()
        for i, options in enumerate(cases)
    }
    save(HERE / "optimizers.npz", version, runs)


if __name__ == "__main__":
    main()
