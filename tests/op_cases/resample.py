"""Images at other places, against SciPy's interpolation."""

import numpy as np
from scipy import ndimage

from op_cases.case import Case, draw


def interpolated(images, rows, columns):
    n, *middle, _, _ = images.shape
    size = np.broadcast_shapes(rows.shape, columns.shape)[1:]
    rows, columns = (np.broadcast_to(x, (n, *size)) for x in (rows, columns))
    out = np.empty((n, *middle, *size), images.dtype)
    for at in np.ndindex(n, *middle):
        places = [rows[at[0]], columns[at[0]]]
        out[at] = ndimage.map_coordinates(images[at], places, order=1, mode="nearest")
    return out


def sampled(torch_images, rows, columns):
    """PyTorch's grid_sample counts from -1 to 1."""
    import torch

    height, width = torch_images.shape[-2:]
    grid = torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], -1)
    return torch.nn.functional.grid_sample(
        torch_images, grid, mode="bilinear", padding_mode="border", align_corners=True
    )


def apart(*shape, low, high, seed=""):
    """Places that are not on lines of pixels, where the gradient has kinks."""
    x = draw(*shape, low=low, high=high, seed=seed)
    part = x - np.floor(x)
    return np.floor(x) + 0.1 + 0.8 * part


PLACES = apart(2, 3, 4, low=-2, high=6), apart(2, 3, 4, low=-2, high=7, seed="columns")

CASES = [
    Case("resample", (draw(2, 3, 5, 6), *PLACES), interpolated, torch=sampled),
    Case(
        "resample",
        (draw(2, 2, 3, 5, 6), apart(2, 3, 1, low=-1, high=6), apart(1, 1, 4, low=-1, high=7)),
        interpolated,
        label="rows and columns by themselves",
    ),
    Case("resample", (draw(2, 1, 7), *PLACES), interpolated, label="one row"),
    Case("resample", (draw(0, 1, 2, 2), draw(1, 2, 2), draw(1, 2, 2)), interpolated),
]
