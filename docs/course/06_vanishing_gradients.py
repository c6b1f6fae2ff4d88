"""In a deep network of sigmoids the gradient vanishes."""

# %% [markdown]
# # 6. Vanishing gradients, seen
#
# The chain rule: the slope of a chain of functions is the product of the slopes of its links. Here
# is one of three links, by hand and by `backward()`, which does the same for any network, from the
# loss back to the first layer.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

x = tg.tensor(1.0, requires_grad=True)
a = 2.0 * x
b = tg.ops.sigmoid(a)
c = b**2.0
c.backward()
by_hand = 2.0 * (b * (1.0 - b)).item() * (2.0 * b).item()
print(f"by hand {by_hand:.6f}, by backward() {x.grad.item():.6f}")

# %% [markdown]
# The slope of a sigmoid is at most 1/4, so that after a few layers next to nothing is left of the
# product: the first layers stand still, while those near the loss learn. That of ReLU is 1 wherever
# it is above zero, and leaky ReLU leaves a little below zero too. We build 20 layers with each and
# look at the gradient that reaches every layer.

# %%
DEPTH, WIDTH = 20, 32
NAMES = ("sigmoid", "tanh", "relu", "leaky_relu")
digits = tg.datasets.digits.load(None)
part = digits.splits["train"][:64]
images = tg.tensor((digits.images[part] / digits.white - 0.3).astype("float32").reshape(64, -1))
labels = tg.tensor(digits.labels[part])


def gradients(name):
    """The mean size of the gradient of each layer's weights, the first layer first."""
    tg.seed(0)
    start = {"initializer": tg.initializers.he_normal(), "bias": False}
    stages = []
    for _ in range(DEPTH):
        stages += [tg.layers.linear(WIDTH, **start), tg.activations[name]]
    model = tg.layers.sequential(*stages, tg.layers.linear(10, **start))
    tg.ops.cross_entropy(model(images), labels).backward()
    return [float(np.abs(w.grad.numpy()).mean()) for w in model.parameters()]


sizes = {name: gradients(name) for name in NAMES}
for name, found in sizes.items():
    print(f"{name:10} first layer {found[0]:.1e}, last layer {found[-1]:.1e}")

# %%
values = np.linspace(-5, 5, 200).astype("float32")
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
for name, found in sizes.items():
    at = tg.tensor(values, requires_grad=True)
    tg.activations[name](at).sum().backward()
    style = "--" if name == "leaky_relu" else "-"
    left.plot(values, at.grad.numpy(), style, label=name)
    right.semilogy(range(1, DEPTH + 2), found, f"o{style}", ms=4, label=name)
left.set(xlabel="input", ylabel="slope", title="the slope of each activation")
right.set(xlabel="layer (21 is next to the loss)", ylabel="mean |gradient|")
right.set(title="what reaches each layer", xticks=range(1, DEPTH + 2, 5))
left.legend()
right.legend()
plt.show()

# %% [markdown]
# **Try it.** Halve DEPTH. From how many layers on would you not use sigmoids?
