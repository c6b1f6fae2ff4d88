"""Layers between input and output bend the line."""

# %% [markdown]
# # 5. Many layers
#
# Disease in the middle, health all around: no straight line separates a ring from its centre. Give
# the neuron other neurons to listen to, each with a line of its own and a bend (ReLU) after it, and
# lines become corners, corners become shapes. How many neurons and layers nobody learns: such
# numbers are chosen, and called hyperparameters (`tensorgraph search` tries many).

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

random = np.random.default_rng(0)
angle = random.uniform(0, 2 * np.pi, 300)
radius = np.where(np.arange(300) < 150, 0.8, 2.2) + random.normal(0, 0.25, 300)
points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype("float32")
truth = (np.arange(300) < 150).astype("float32")[:, None]
x, y = tg.tensor(points), tg.tensor(truth)


def network(*hidden):
    stages = []
    for size in hidden:
        stages += [tg.layers.linear(size), tg.activations.relu]
    return tg.layers.sequential(*stages, tg.layers.linear(1))


def trained(model):
    optimizer = tg.optimizers.adam(model.parameters(), lr=0.02)
    for _ in range(400):
        optimizer.zero_grad()
        tg.ops.binary_cross_entropy_with_logits(model(x), y).backward()
        optimizer.step()
    return model


# %%
tg.seed(0)
models = {
    "one neuron": trained(network()),
    "2 neurons before it": trained(network(2)),
    "8 neurons before it": trained(network(8)),
    "two layers of 16": trained(network(16, 16)),
}
accuracies = {
    name: float(((model(x).numpy() > 0) == truth).mean()) for name, model in models.items()
}
print(accuracies)

# %%
figure, axes = plt.subplots(1, len(models), figsize=(14, 3.7), layout="constrained")
across = np.linspace(-3.2, 3.2, 100).astype("float32")
grid = np.stack(np.meshgrid(across, across), axis=-1).reshape(-1, 2)
for panel, (name, model) in zip(axes, models.items()):
    probability = tg.ops.sigmoid(model(tg.tensor(grid))).numpy().reshape(100, 100)
    panel.contourf(across, across, probability, levels=20, cmap="coolwarm", alpha=0.6)
    panel.contour(across, across, probability, levels=[0.5], colors="black")
    panel.scatter(*points.T, c=truth.ravel(), cmap="coolwarm", s=9, edgecolors="black", lw=0.3)
    panel.set(title=f"{name}: {accuracies[name]:.0%}", xticks=[], yticks=[], aspect="equal")
plt.show()

# %% [markdown]
# **Try it.** Take the ReLU away and keep the layers. Why is the border a straight line again?
