"""Overfitting seen, and cured three ways."""

# %% [markdown]
# # 7. Overfitting, and three cures
#
# 150 digits to learn from, and every fifth label is a guess, as where the reader was tired.
# A network with enough weights learns all of it by heart, the mistakes too: the loss on what it has
# seen goes to zero, and on what it has not seen it falls, then rises. The least that helps is to
# stop at its lowest point. Three cures: a price on large weights (L2), silencing most of the
# neurons at random in each step (dropout), and showing each image a little changed in each step
# (augmentation; here moved, turned and scaled, which leaves a digit what it is).

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

EPOCHS = 120
digits = tg.datasets.digits.load(None)
images = (digits.images[:] / digits.white).astype("float32")
seen, unseen = digits.splits["train"][:150], digits.splits["train"][150:]
labels = digits.labels[seen].copy()
labels[::5] = np.random.default_rng(0).integers(0, 10, len(labels[::5]))
x, y = tg.tensor(images[seen]), tg.tensor(labels)
other, truth = tg.tensor(images[unseen]), tg.tensor(digits.labels[unseen])


def learn(price=0.0, dropout=0.0, change=None):
    """The losses on seen and unseen images, and the accuracy on the unseen, after each epoch."""
    tg.seed(0)
    model = tg.models.mlp(classes=10, hidden=(256,), dropout=dropout)
    model.infer_shape(tg.Spec(x.shape, x.dtype))
    optimizer = tg.optimizers.adam(model.parameters(), lr=0.003)
    penalty = tg.regularizers.l2(price)
    history = []
    for epoch in range(EPOCHS):
        model.train()
        key = tg.tensor(np.array([0, 0, 0, epoch], "uint32"))  # other changes in each epoch
        shown = x if change is None else change(x, key)
        optimizer.zero_grad()
        loss = tg.ops.cross_entropy(model(shown), y) + penalty(model.named_parameters())
        loss.backward()
        optimizer.step()
        model.eval()
        with tg.no_grad():
            guesses = model(other)
            losses = [tg.ops.cross_entropy(model(x), y), tg.ops.cross_entropy(guesses, truth)]
        right = (guesses.numpy().argmax(axis=1) == truth.numpy()).mean()
        history.append([*(loss.item() for loss in losses), right])
    return np.array(history)


histories = {
    "no cure": learn(),
    "L2": learn(price=0.004),
    "dropout": learn(dropout=0.7),
    "augmentation": learn(change=tg.augmentations.affine(degrees=20, translate=0.15)),
}
for name, history in histories.items():
    on_seen, on_unseen, right = history[-1]
    print(f"{name:13} loss seen {on_seen:.2f}, unseen {on_unseen:.2f}; {right:.0%} right")

# %%
figure, axes = plt.subplots(1, 4, figsize=(15, 3.8), layout="constrained", sharey=True)
for panel, (name, history) in zip(axes, histories.items()):
    panel.plot(history[:, 0], label="seen")
    panel.plot(history[:, 1], label="unseen")
    panel.axvline(history[:, 1].argmin(), color="gray", ls=":", label="lowest")
    panel.set(title=f"{name}: {history[-1, 2]:.0%} right", xlabel="epoch", ylim=(0, 2.5))
    panel.legend()
axes[0].set_ylabel("loss")
plt.show()

# %% [markdown]
# **Try it.** L1 asks for few weights, L2 for small ones: put `tg.regularizers.l1` in place of `l2`.
# Which price helps most? And the best cure is not here: more images.
