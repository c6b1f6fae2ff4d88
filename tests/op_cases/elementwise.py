"""Arithmetic, comparisons, where, clip, cast."""

import numpy as np
from op_cases.case import Case, draw

CASES = [
    Case("add", (draw(3, 4), draw(4, seed="y")), np.add, torch=lambda x, y: x + y),
    Case("multiply", (draw(0, 3), draw(3)), np.multiply, torch=lambda x, y: x * y),
]
