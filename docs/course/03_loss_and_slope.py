"""A loss says how wrong a model is, and its slope which way is better."""

# %% [markdown]
# # 3. The loss and its slope
#
# A model with one weight: dose = w · body weight. The loss is the mean squared error over five
# patients. For each w it is one number, and all of them make a curve. `backward()` gives the slope
# of that curve where we stand; downhill is against the slope.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

weight = tg.tensor([0.4, 0.6, 0.7, 0.8, 1.0], dtype="float64")  # in 100 kg
dose = tg.tensor([0.9, 1.1, 1.5, 1.5, 2.1], dtype="float64")


def loss_at(w):
    return tg.ops.mse_loss(weight * w, dose)


def slope_at(value):
    w = tg.tensor(value, dtype="float64", requires_grad=True)
    loss_at(w).backward()
    return w.grad.item()


# %% [markdown]
# The slope can also be measured: a tiny step to both sides. The two agree, and `backward()` is the
# one that stays cheap when there are a million weights.

# %%
places = [0.5, 1.5, 3.5]
slopes = [slope_at(value) for value in places]
tiny = 1e-5
measured = [
    (loss_at(tg.tensor(v + tiny, dtype="float64")) - loss_at(tg.tensor(v - tiny, dtype="float64")))
    .item() / (2 * tiny)
    for v in places
]  # fmt: skip
for value, slope, by_steps in zip(places, slopes, measured, strict=True):
    print(f"w = {value}: slope {slope:+.6f}, measured {by_steps:+.6f}")

# %%
ws = np.linspace(0, 4, 100)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.scatter(weight.numpy(), dose.numpy(), color="black", zorder=3)
for value in places:
    left.plot([0, 1.1], [0, 1.1 * value], label=f"w = {value}")
left.set(xlabel="body weight (100 kg)", ylabel="dose", title="five patients, three models")
left.legend()
right.plot(ws, [loss_at(tg.tensor(w, dtype="float64")).item() for w in ws], color="gray")
for value, slope in zip(places, slopes, strict=True):
    height = loss_at(tg.tensor(value, dtype="float64")).item()
    near = np.array([value - 0.5, value + 0.5])
    right.plot(near, height + slope * (near - value), lw=3, label=f"slope {slope:+.2f}")
right.set(xlabel="w", ylabel="loss", title="the loss of every model, and three slopes")
right.legend()
plt.show()

# %% [markdown]
# **Try it.** For which w is the slope zero? Compare with the best line through the five points.
