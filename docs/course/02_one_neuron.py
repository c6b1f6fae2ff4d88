"""One neuron separates two clouds of points."""

# %% [markdown]
# # 2. Separating two clouds with one neuron
#
# Each point is a patient with two measured values; the colour is the diagnosis. A neuron weighs the
# two values, adds a bias, and squeezes the sum into a probability. Where that is 0.5 is a straight
# line, and to learn is to move that line.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

tg.seed(0)
random = np.random.default_rng(0)
points = np.concatenate(
    [random.normal((-1, -1), 0.8, (60, 2)), random.normal((1, 1), 0.8, (60, 2))]
)
x = tg.tensor(points.astype("float32"))
y = tg.tensor(np.repeat([0.0, 1.0], 60).astype("float32")[:, None])

neuron = tg.layers.linear(1)
neuron.load_state({"weight": [[1.0, -1.0]], "bias": [0.5]})  # a poor line to begin with
optimizer = tg.optimizers.sgd(neuron.parameters(), lr=0.5)


# %%
def accuracy():
    return float(((neuron(x).numpy() > 0) == y.numpy()).mean())


lines, accuracies = {}, {}
for step in range(101):
    if step in (0, 1, 5, 100):
        (first, second), bias = neuron.weight.numpy()[0], neuron.bias.item()
        lines[step] = (first, second, bias)
        accuracies[step] = accuracy()
        print(f"after {step:3} steps {accuracies[step]:.0%} are on their side of the line")
    optimizer.zero_grad()
    tg.ops.binary_cross_entropy_with_logits(neuron(x), y).backward()
    optimizer.step()

# %%
figure, axes = plt.subplots(1, len(lines), figsize=(14, 3.8), layout="constrained")
grid_x, grid_y = np.meshgrid(np.linspace(-4, 4, 80), np.linspace(-4, 4, 80))
for panel, (step, (first, second, bias)) in zip(axes, lines.items()):
    probability = 1 / (1 + np.exp(-(first * grid_x + second * grid_y + bias)))
    panel.contourf(grid_x, grid_y, probability, levels=20, cmap="coolwarm", alpha=0.5)
    panel.contour(grid_x, grid_y, probability, levels=[0.5], colors="black")
    panel.scatter(*points.T, c=y.numpy().ravel(), cmap="coolwarm", edgecolors="black", s=18)
    panel.set_title(f"after {step} steps: {accuracies[step]:.0%} right")
    panel.set(xlabel="first value", ylabel="second value", aspect="equal")
plt.show()

# %% [markdown]
# Black is the line of probability 0.5. Some points lie on the wrong side of every straight line.
#
# **Try it.** Move the clouds closer together: how does the shading change beside the line?
