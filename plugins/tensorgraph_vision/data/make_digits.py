"""Makes digits.npz from scikit-learn's copy of the UCI digits: ``python make_digits.py``."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
images = digits.images.astype(np.uint8)
assert images.shape == (1797, 8, 8) and (images == digits.images).all() and images.max() == 16
np.savez_compressed(
    Path(__file__).with_name("digits.npz"), images=images, labels=digits.target.astype(np.uint8)
)
