"""Tensors whose values a plan keeps in memory of its own, to update them there."""

from __future__ import annotations

from typing import Any

from tensorgraph import Spec
from tensorgraph.tensor import Tensor
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.kernels.move import Flat, copy
from tensorgraph_cupy.kernels.view import view
from tensorgraph_cupy.plan.layout import Ints, own_strides


class Loan:
    """A tensor's values in the memory that plans read and write, where they may lie as those of
    another shape. The tensor has them copied where somebody else reads it."""

    def __init__(self, tensor: Tensor, arrays: Arrays, shape: Ints) -> None:
        self.tensor = tensor
        self.arrays = arrays
        self.held = Spec(shape, tensor.dtype)
        array = arrays.empty(shape, tensor.dtype)
        self.memory = arrays.device.allocate(max(1, int(array.nbytes)))

    def copy(self) -> Any:
        array = taken(self.arrays, self.arrays.device, self.held, self.memory.address)
        return array.reshape(self.tensor.shape)

    def renew(self, device: Device) -> None:
        """Take the tensor's values, which are in other hands or were replaced."""
        array = self.tensor.data.reshape(self.held.shape)
        put(self.arrays, device, array, self.memory.address)
        self.tensor.lend(self)


def loan(tensor: Tensor, arrays: Arrays, shape: Ints) -> Loan:
    """The loan of a tensor: the one that it has already, if it lies so on this device."""
    held = tensor.lender
    if isinstance(held, Loan) and held.arrays is arrays and held.held.shape == shape:
        return held
    return Loan(tensor, arrays, shape)


def put(arrays: Arrays, device: Device, array: Any, address: int, dtype: str | None = None) -> None:
    """Copy an array's values to memory, where they lie in the usual order of axes, in their own
    dtype or another."""
    given = view(arrays, array)
    target = Flat(address, dtype or given.dtype, own_strides(given.shape))
    if target[1:] == (given.dtype, given.strides):  # bytes as they are: the host is done sooner
        device.copy(address, given.address, int(array.nbytes))
    else:
        copy(device, given.shape, Flat(given.address, given.dtype, given.strides), target)


def taken(arrays: Arrays, device: Device, like: Any, address: int) -> Any:
    """A new array with the values at an address; ``like`` has its shape and dtype."""
    out = arrays.empty(like.shape, like.dtype)
    if out.nbytes:
        device.copy(arrays.address(out), address, int(out.nbytes))
    return out
