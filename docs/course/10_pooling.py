"""Pooling keeps the strongest answer of each neighbourhood."""

# %% [markdown]
# # 10. Pooling
#
# A feature map says for every pixel how well the filter fits there. Mostly it matters *that*
# something is there, and less at which pixel. Max pooling keeps the strongest answer of each small
# square, average pooling their mean: a quarter of the numbers, and when the image moves a little,
# they change less.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

digits = tg.datasets.digits.load(None)
images = (digits.images[digits.splits["test"]] / digits.white).astype("float32")
images = np.pad(images, ((0, 0), (0, 0), (4, 4), (4, 4)))  # room to move in: 16 by 16
moved = np.roll(images, 1, axis=3)  # by a pixel to the right

edges = tg.tensor(np.array([[[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]]], "float32"))


def answers(x):
    """The feature map of each image after ReLU, and three poolings of it."""
    found = tg.ops.relu(tg.ops.conv(tg.tensor(x), edges, padding=1))
    return {
        "no pooling": found.numpy(),
        "max of 2 x 2": tg.ops.max_pool(found, kernel_size=2).numpy(),
        "average of 2 x 2": tg.ops.avg_pool(found, kernel_size=2).numpy(),
        "max of 4 x 4": tg.ops.max_pool(found, kernel_size=4).numpy(),
    }


before, after = answers(images), answers(moved)
changes = {
    name: float(np.linalg.norm(after[name] - maps) / np.linalg.norm(maps))
    for name, maps in before.items()
}
for name, change in changes.items():
    size = "x".join(map(str, before[name].shape[2:]))
    print(f"{name:16} {size:>6} numbers; moved by a pixel they change by {change:.0%}")

# %%
figure, axes = plt.subplots(2, 6, figsize=(15, 5), layout="constrained", width_ratios=[1] * 5 + [2])
for row, (name, x, maps) in enumerate((("image", images, before), ("moved", moved, after))):
    for panel, (title, shown) in zip(axes[row], {name: x, **maps}.items()):
        panel.imshow(shown[0, 0], cmap="gray")
        panel.set(title=title, xticks=[], yticks=[])
axes[0, 5].axis("off")
axes[1, 5].axis("off")
bars = figure.add_subplot(axes[0, 5].get_gridspec()[:, 5])
bars.barh(list(changes), list(changes.values()))
bars.invert_yaxis()
bars.set(xlabel="change when moved by a pixel", xlim=(0, 1))
plt.show()

# %% [markdown]
# **Try it.** Move the images by two pixels. Which pooling does not notice the most of it? And what
# would be lost if the whole map were pooled to one number?
