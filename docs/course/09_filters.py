"""A small filter slides over the image."""

# %% [markdown]
# # 9. A filter, slid over an image
#
# A filter is a small matrix. Lay it on the image, multiply number by number, add up: one answer.
# Slide it on by a pixel: the next. All answers make a new image, a feature map. What the filter
# looks for is in its nine numbers; a convolutional network learns these numbers.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

rows, columns = np.mgrid[-1:1:48j, -1:1:48j]
lungs = ((np.abs(columns) - 0.42) / 0.3) ** 2 + (rows / 0.75) ** 2 < 1
spot = (columns - 0.45) ** 2 + (rows + 0.2) ** 2 < 0.012
image = np.where(lungs & ~spot, 0.25, 0.8) - 0.1 * rows  # a drawing of a chest film
image += np.random.default_rng(0).normal(0, 0.03, image.shape)
x = tg.tensor(image[None, None].astype("float32"))

FILTERS = {
    "left is not right": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "above is not below": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "mean of nine": [[1 / 9] * 3] * 3,
    "centre is not around": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
}
w = tg.tensor(np.array(list(FILTERS.values()), "float32")[:, None])  # (4 filters, 1 channel, 3, 3)
maps = tg.ops.conv(x, w).numpy()[0]
print("an image of", x.shape[2:], "and filters of", w.shape[2:], "give maps of", maps.shape[1:])

# %% [markdown]
# One answer by hand: the first filter, laid on the rows 20 to 22 and the columns 6 to 8, where the
# red square is. The image gets darker there from left to right, so the answer is below zero: black.

# %%
under = x.numpy()[0, 0, 20:23, 6:9]
by_hand = float((under * np.array(FILTERS["left is not right"])).sum())
print(f"by hand {by_hand:.5f}, by tg.ops.conv {maps[0, 20, 6]:.5f}")

# %%
figure, axes = plt.subplots(2, 5, figsize=(14, 5.6), layout="constrained")
axes[0, 0].imshow(image, cmap="gray")
axes[0, 0].add_patch(plt.Rectangle((5.5, 19.5), 3, 3, fill=False, color="red", lw=2))
axes[0, 0].set_title("the image")
axes[1, 0].axis("off")
for i, (name, numbers) in enumerate(FILTERS.items()):
    low, high = np.percentile(maps[i], (1, 99))
    axes[0, i + 1].imshow(maps[i], cmap="gray", vmin=low, vmax=high)
    axes[0, i + 1].set_title(name)
    axes[1, i + 1].imshow(numbers, cmap="coolwarm", vmin=-2, vmax=2)
    for (row, column), value in np.ndenumerate(np.array(numbers)):
        axes[1, i + 1].text(column, row, f"{value:.2g}", ha="center", va="center")
for panel in axes.ravel():
    panel.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **Try it.** Write a filter that answers to lines from bottom left to top right.
