"""Kernels by family, and the factories that bind them to arrays."""
