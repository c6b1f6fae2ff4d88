"""An image is a matrix of numbers."""

# %% [markdown]
# # 1. An image is a matrix
#
# To a computer a grey image is a table of numbers, one for each pixel: small is dark, large is
# bright. Whatever is done to an image is arithmetic on this table.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

digits = tg.datasets.digits.load(None)
image = digits.images[[0]][0, 0].astype("float32")  # 8 rows of 8 pixels, from 0 to 16
print(image.astype(int))
print("shape", image.shape, "darkest", image.min(), "brightest", image.max())

# %% [markdown]
# Half the numbers is half the light, 16 less each number is the negative, the rows in reverse order
# are the image upside down, and "larger than 8" is a mask.

# %%
changed = {
    "the image": image,
    "times 0.5": image * 0.5,
    "16 minus it": digits.white - image,
    "rows reversed": image[::-1],
    "larger than 8": (image > 8) * digits.white,
}

figure, axes = plt.subplots(1, len(changed), figsize=(15, 3.4), layout="constrained")
for panel, (name, matrix) in zip(axes, changed.items()):
    panel.imshow(matrix, cmap="gray", vmin=0, vmax=digits.white)
    panel.set(title=name, xticks=[], yticks=[])
    for (row, column), value in np.ndenumerate(matrix):
        colour = "black" if value > 8 else "white"
        panel.text(column, row, f"{value:g}", ha="center", va="center", color=colour, fontsize=7)
plt.show()

# %% [markdown]
# **Try it.** Which arithmetic makes a bright image darker only where it is brightest?
