"""Learning rates: too small, good, too large."""

# %% [markdown]
# # 4. The learning rate
#
# Gradient descent takes a step against the slope: w becomes w - rate · slope. The rate is the one
# number that most often decides whether anything is learnt. Too small, and w hardly moves; too
# large, and every step lands higher on the other side.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

STEPS = 20
RATES = {0.01: "too small", 0.2: "good", 0.95: "it swings", 1.05: "too large"}


def descend(rate):
    """The weight and the loss before each step, on the loss (w - 3)²."""
    w = tg.Parameter(lambda spec: tg.tensor(0.5))
    w.initialize((), "float32")
    optimizer = tg.optimizers.sgd([w], lr=rate)
    path = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (w - 3.0) ** 2.0
        loss.backward()
        path.append((w.item(), loss.item()))
        optimizer.step()
    return np.array(path)


paths = {rate: descend(rate) for rate in RATES}
for rate, path in paths.items():
    print(f"rate {rate:4}: loss {path[0, 1]:.2f} -> {path[-1, 1]:.4f}, {RATES[rate]}")

# %%
figure, axes = plt.subplots(2, len(RATES), figsize=(14, 6), layout="constrained", sharey="row")
ws = np.linspace(-5, 11, 100)
for column, (rate, path) in enumerate(paths.items()):
    above, below = axes[:, column]
    above.plot(ws, (ws - 3) ** 2, color="lightgray")
    above.plot(*path.T, "o-", ms=4, color="C3" if rate > 1 else "C0")
    above.set(title=f"rate {rate}: {RATES[rate]}", xlabel="w", xlim=(-6, 12), ylim=(-2, 45))
    below.semilogy(path[:, 1], "o-", ms=4, color="C3" if rate > 1 else "C0")
    below.set(xlabel="step", ylim=(1e-8, 1e3))
axes[0, 0].set_ylabel("loss")
axes[1, 0].set_ylabel("loss, logarithmic")
plt.show()

# %% [markdown]
# **Try it.** Which rate reaches the minimum of this loss in a single step, and why does that not
# work for every loss?
