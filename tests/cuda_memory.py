"""Bytes at an address as numbers: what the doubles of NVIDIA's libraries read and write."""

import ctypes

import numpy as np


def to_bfloat16(x):
    """float32 → the nearest 16 bits, ties to even, as uint16."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bfloat16(bits):
    return (np.asarray(bits).astype(np.uint32) << 16).view(np.float32)


def to_tf32(x):
    """float32 with 10 bits after the binary point, as tensor cores read it."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x0FFF + (bits >> 13 & 1)) >> 13 << 13).astype(np.uint32).view(np.float32)


def memory(address, dtype, shape, strides):
    """An array over memory; strides are in elements. bfloat16 is seen as uint16."""
    kind = np.dtype(np.uint16 if dtype == "bfloat16" else dtype)
    reach = sum((n - 1) * s for n, s in zip(shape, strides)) + 1
    whole = (ctypes.c_char * (reach * kind.itemsize)).from_address(address)
    flat = np.frombuffer(whole, kind)
    steps = [s * kind.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(flat, shape, steps)


def load(address, dtype, shape, strides):
    array = memory(address, dtype, shape, strides)
    return (from_bfloat16(array) if dtype == "bfloat16" else array).astype(np.float64)


def store(values, address, dtype, shape, strides):
    target = memory(address, dtype, shape, strides)
    target[...] = to_bfloat16(values) if dtype == "bfloat16" else values
