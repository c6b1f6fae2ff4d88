"""Adam beside plain gradient descent."""

# %% [markdown]
# # 8. Adam beside plain descent
#
# A loss may be steep in one direction and flat in another: a long valley. Plain descent must take
# steps that are short enough for the steep side, and so crawls along the flat one. Momentum keeps
# rolling. Adam divides each weight's step by the size of its recent gradients, and walks both
# directions at one pace. Each has a learning rate that suits it, found by trying several.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

CHOICES = {
    "plain descent": ("sgd", {"lr": 0.038}, {"lr": 0.5}),
    "with momentum": ("sgd", {"lr": 0.03, "momentum": 0.8}, {"lr": 0.05, "momentum": 0.9}),
    "Adam": ("adam", {"lr": 0.3}, {"lr": 0.01}),
}


def walk(name, options):
    """Where the two weights are before each of 40 steps down the valley x² / 2 + 25 y²."""
    w = tg.Parameter(lambda spec: tg.tensor([-4.0, 0.8]))
    w.initialize((2,), "float32")
    optimizer = tg.optimizers[name]([w], **options)
    path = []
    for _ in range(40):
        path.append(w.numpy().copy())
        optimizer.zero_grad()
        (w * w * tg.tensor([0.5, 25.0])).sum().backward()
        optimizer.step()
    return np.array(path)


# %%
digits = tg.datasets.digits.load(None)
images = (digits.images[:] / digits.white).astype("float32")
train = digits.splits["train"]


def learn(name, options):
    """The loss of each batch of three epochs of digits."""
    tg.seed(0)
    model = tg.models.mlp(classes=10, hidden=(64, 64))
    optimizer = tg.optimizers[name](model.parameters(), **options)
    random, losses = np.random.default_rng(0), []
    for _ in range(3):
        for batch in np.array_split(random.permutation(train), 40):
            optimizer.zero_grad()
            loss = tg.ops.cross_entropy(
                model(tg.tensor(images[batch])), tg.tensor(digits.labels[batch])
            )
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return np.array(losses)


paths = {label: walk(name, valley) for label, (name, valley, _) in CHOICES.items()}
losses = {label: learn(name, options) for label, (name, _, options) in CHOICES.items()}
for label in CHOICES:
    print(
        f"{label:14} ends at {paths[label][-1].round(3)}; digits {losses[label][-20:].mean():.3f}"
    )

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.2), layout="constrained")
x, y = np.meshgrid(np.linspace(-4.5, 2, 100), np.linspace(-1.2, 1.2, 100))
left.contour(x, y, x**2 / 2 + 25 * y**2, levels=np.geomspace(0.1, 40, 12), colors="lightgray")
for label, path in paths.items():
    left.plot(*path.T, "o-", ms=3, lw=1, label=label)
    right.plot(np.convolve(losses[label], np.ones(8) / 8, "valid"), label=label)
left.set(xlabel="first weight", ylabel="second weight", title="40 steps down a long valley")
right.set(xlabel="step", ylabel="loss (mean of 8 batches)", title="three epochs of digits")
right.legend()
plt.show()
