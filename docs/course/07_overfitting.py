"""Overfitting seen, and cured three ways."""

# %% [markdown]
# # 7. Overfitting, and three cures
#
# 150 digits to learn from, and every fifth label is a guess, as where the reader was tired.
# A network with enough weights learns all of it by heart, the mistakes too: the loss on what it has
# seen goes to zero, and on what it has not seen it falls, then rises. The cures: stop where the
# loss on unseen images is lowest; a price on large weights (L2); silence most of the neurons at
# random in each step (dropout).

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

EPOCHS = 120
digits = tg.datasets.digits.load(None)
images = (digits.images[:] / digits.white).astype("float32")
seen, unseen = digits.splits["train"][:150], digits.splits["test"]
given = digits.labels[seen].copy()
given[::5] = np.random.default_rng(0).integers(0, 10, len(given[::5]))
x, y = tg.tensor(images[seen]), tg.tensor(given)
other, truth = tg.tensor(images[unseen]), tg.tensor(digits.labels[unseen])


def learn(price=0.0, dropout=0.0):
    """The losses on seen and unseen images, and the accuracy on the unseen, after each epoch."""
    tg.seed(0)
    model = tg.models.mlp(classes=10, hidden=(256,), dropout=dropout)
    optimizer = tg.optimizers.adam(model.parameters(), lr=0.003)
    penalty = tg.regularizers.l2(price)
    history = []
    model(x)  # which gives the layers their shapes
    for _ in range(EPOCHS):
        model.train()
        optimizer.zero_grad()
        loss = tg.ops.cross_entropy(model(x), y) + penalty(model.named_parameters())
        loss.backward()
        optimizer.step()
        model.eval()
        with tg.no_grad():
            guesses = model(other)
            losses = [tg.ops.cross_entropy(model(x), y), tg.ops.cross_entropy(guesses, truth)]
        right = (guesses.numpy().argmax(axis=1) == truth.numpy()).mean()
        history.append([*(loss.item() for loss in losses), right])
    return np.array(history)


histories = {"no cure": learn(), "L2": learn(price=0.004), "dropout": learn(dropout=0.7)}
stop = int(histories["no cure"][:, 1].argmin())
results = {"no cure": histories["no cure"][-1], "early stopping": histories["no cure"][stop]}
results |= {name: histories[name][-1] for name in ("L2", "dropout")}
for name, (on_seen, on_unseen, right) in results.items():
    print(f"{name:15} loss seen {on_seen:.2f}, unseen {on_unseen:.2f}; {right:.0%} right")

# %%
figure, axes = plt.subplots(1, 4, figsize=(15, 3.8), layout="constrained", sharey=True)
for panel, (name, result) in zip(axes, results.items()):
    history = histories.get(name, histories["no cure"])
    panel.plot(history[:, 0], label="seen")
    panel.plot(history[:, 1], label="unseen")
    if name == "early stopping":
        panel.axvline(stop, color="black", ls="--", label="stop here")
    panel.set(title=f"{name}: unseen {result[1]:.2f}", xlabel="epoch", ylim=(0, 2.5))
    panel.legend()
axes[0].set_ylabel("loss")
plt.show()

# %% [markdown]
# **Try it.** The best cure is not here: more images. How many until the curves stay together?
