"""One neuron separates two clouds of points."""

# %% [markdown]
# # 2. Separating two clouds with one neuron
#
# Each point is a patient with two measured values; the colour is the diagnosis. A neuron multiplies
# each value by a weight, adds them up and adds a bias. The sigmoid squeezes any sum into 0 … 1: a
# probability. Where it is 0.5 is a straight line, and to learn is to move that line.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

random = np.random.default_rng(0)
points = np.concatenate(
    [random.normal((-1, -1), 0.8, (60, 2)), random.normal((1, 1), 0.8, (60, 2))]
)
x = tg.tensor(points.astype("float32"))
y = tg.tensor(np.repeat([0.0, 1.0], 60).astype("float32")[:, None])

neuron = tg.layers.linear(1)
neuron.load_state({"weight": [[1.0, -1.0]], "bias": [0.5]})  # a poor line to begin with
optimizer = tg.optimizers.sgd(neuron.parameters(), lr=0.5)

across = np.linspace(-4, 4, 80).astype("float32")
grid = tg.tensor(np.stack(np.meshgrid(across, across), axis=-1))  # all pairs of two values


# %% [markdown]
# In each step the loss, cross entropy, says how badly the probabilities fit the diagnoses;
# `backward()` finds out how it changes with each weight, and the optimizer moves the weights a
# little the other way. The next two chapters tell how.

# %%
shown, accuracies = {}, {}
for step in range(101):
    if step in (0, 1, 5, 100):
        shown[step] = tg.ops.sigmoid(neuron(grid)).numpy()[..., 0]
        accuracies[step] = float(((neuron(x) > 0).numpy() == y.numpy()).mean())
        print(f"after {step:3} steps {accuracies[step]:.0%} are on their side of the line")
    optimizer.zero_grad()
    tg.ops.binary_cross_entropy_with_logits(neuron(x), y).backward()
    optimizer.step()

# %%
figure, (curve, *axes) = plt.subplots(1, 1 + len(shown), figsize=(16, 3.4), layout="constrained")
curve.plot(across, tg.ops.sigmoid(tg.tensor(across)).numpy(), color="black")
curve.set(title="the sigmoid", xlabel="weighted sum", ylabel="probability")
for panel, (step, probability) in zip(axes, shown.items()):
    panel.contourf(across, across, probability, levels=20, cmap="coolwarm", alpha=0.5)
    panel.contour(across, across, probability, levels=[0.5], colors="black")
    panel.scatter(*points.T, c=y.numpy().ravel(), cmap="coolwarm", edgecolors="black", s=18)
    panel.set_title(f"step {step}: {accuracies[step]:.0%} right")
    panel.set(xlabel="first value", ylabel="second value", aspect="equal")
plt.show()

# %% [markdown]
# Black is the line of probability 0.5. Every straight line has some points on its wrong side.
#
# **Try it.** Move the clouds closer together: how does the shading change beside the line?
