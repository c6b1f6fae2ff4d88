"""A loss says how wrong a model is, and its slope which way is better."""

# %% [markdown]
# # 3. The loss and its slope
#
# A model with one weight: dose = w · body weight. Its loss is the squared error, averaged over five
# patients. For each w it is one number, and all of them make a curve. `backward()` gives the slope
# of that curve where we stand; downhill is against the slope.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

weight = tg.tensor([0.4, 0.6, 0.7, 0.8, 1.0], dtype="float64")  # in 100 kg
dose = tg.tensor([0.9, 1.1, 1.5, 1.5, 2.1], dtype="float64")  # in grams


def loss_at(value):
    return tg.ops.mse_loss(weight * value, dose)


def slope_at(value):
    w = tg.tensor(value, dtype="float64", requires_grad=True)
    loss_at(w).backward()
    return w.grad.item()


# %% [markdown]
# The slope can also be measured: a tiny step to both sides. The two agree, and `backward()` is the
# one that stays cheap when there are a million weights.

# %%
places, tiny = [0.5, 1.5, 3.5], 1e-5
slopes = [slope_at(w) for w in places]
measured = [(loss_at(w + tiny) - loss_at(w - tiny)).item() / (2 * tiny) for w in places]
for w, slope, by_steps in zip(places, slopes, measured):
    print(f"w = {w}: slope {slope:+.6f}, measured {by_steps:+.6f}")

# %% [markdown]
# Where a model gives a probability, the loss is cross entropy: minus the logarithm of what it gave
# to the truth. Unlike the squared error it grows without end for who is sure and wrong.

# %%
given = np.linspace(0.01, 1, 100)
cross_entropy = -tg.ops.log(tg.tensor(given))
squared_error = (1 - tg.tensor(given)) ** 2.0

# %%
ws = np.linspace(0, 4, 100)
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4), layout="constrained")
left.scatter(weight.numpy(), dose.numpy(), color="black", zorder=3)
middle.plot(ws, [loss_at(w).item() for w in ws], color="gray")
for w, slope in zip(places, slopes):
    left.plot([0, 1.1], [0, 1.1 * w], label=f"w = {w}")
    near = np.array([w - 0.5, w + 0.5])
    middle.plot(near, loss_at(w).item() + slope * (near - w), lw=3, label=f"slope {slope:+.2f}")
left.set(xlabel="body weight (100 kg)", ylabel="dose (g)", title="five patients, three models")
middle.set(xlabel="w", ylabel="loss", title="squared error of every w, and three slopes")
right.plot(given, cross_entropy.numpy(), label="cross entropy")
right.plot(given, squared_error.numpy(), label="squared error")
right.set(xlabel="probability given to the truth", ylabel="loss", title="two losses of one patient")
for panel in (left, middle, right):
    panel.legend()
plt.show()

# %% [markdown]
# **Try it.** For which w is the slope zero? Compare with the best line through the five points.
