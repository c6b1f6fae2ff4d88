"""In a deep network of sigmoids the gradient vanishes."""

# %% [markdown]
# # 6. Vanishing gradients, seen
#
# The chain rule multiplies slopes on the way back from the loss. A sigmoid's is at most 1/4, so
# after a few layers next to nothing is left: the first layers stand still, while those near the
# loss learn. We build 20 layers three times and look at the gradient that reaches each.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

DEPTH, WIDTH = 20, 32
digits = tg.datasets.digits.load(None)
part = digits.splits["train"][:64]
x = tg.tensor((digits.images[part] / digits.white - 0.3).astype("float32").reshape(64, -1))
labels = tg.tensor(digits.labels[part])


def gradients(activation):
    """The mean size of the gradient of each layer's weights, the first layer first."""
    tg.seed(0)
    start = np.random.default_rng(0)
    model = tg.layers.sequential(
        *[stage for _ in range(DEPTH) for stage in (tg.layers.linear(WIDTH), activation)],
        tg.layers.linear(10),
    )
    model(x)  # which gives the layers their shapes
    model.load_state(
        {
            name: start.normal(0, (2 / p.shape[-1]) ** 0.5, p.shape).astype("float32")
            if name.endswith("weight") else np.zeros(p.shape, "float32")
            for name, p in model.named_parameters().items()
        }
    )  # fmt: skip
    tg.ops.cross_entropy(model(x), labels).backward()
    return [
        float(np.abs(p.grad.numpy()).mean())
        for name, p in model.named_parameters().items()
        if name.endswith("weight")
    ]


sizes = {name: gradients(tg.activations[name]) for name in ("sigmoid", "tanh", "relu")}
for name, found in sizes.items():
    print(f"{name:8} first layer {found[0]:.1e}, last layer {found[-1]:.1e}")

# %%
slopes = np.linspace(-5, 5, 200).astype("float32")
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
for name, found in sizes.items():
    at = tg.tensor(slopes, requires_grad=True)
    tg.activations[name](at).sum().backward()
    left.plot(slopes, at.grad.numpy(), label=name)
    right.semilogy(range(1, DEPTH + 2), found, "o-", ms=4, label=name)
left.set(xlabel="input", ylabel="slope", title="the slope of each activation")
right.set(xlabel="layer (21 is next to the loss)", ylabel="mean |gradient|")
right.set_title("what reaches each layer")
left.legend()
right.legend()
plt.show()

# %% [markdown]
# **Try it.** Halve DEPTH. From how many layers on would you not use sigmoids?
