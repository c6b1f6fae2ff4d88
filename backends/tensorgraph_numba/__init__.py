"""Faster kernels for the backend "numpy", compiled by Numba where that is installed."""
