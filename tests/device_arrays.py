"""NumPy in the place of CuPy, as strict as it: its arrays are a class of their own, NumPy's do not
mix with them, reductions give arrays of no axes, and kernels take no address of another array."""

import types

import numpy as np


class DeviceArray(np.ndarray):
    """An array that stands for one of CuPy's."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **more):
        if any(type(x) is np.ndarray for x in (*inputs, *(out or ()))):
            raise TypeError(f"{ufunc.__name__}: an array of the host's among those of the device")
        plain = [on_host(x) for x in inputs]
        if out:
            more["out"] = tuple(on_host(x) for x in out)
        return on_device(getattr(ufunc, method)(*plain, **more))

    def __array_function__(self, function, kinds, arguments, more):
        return on_device(super().__array_function__(function, kinds, arguments, more))


def on_host(x):
    return x.view(np.ndarray) if isinstance(x, DeviceArray) else x


def on_device(x):
    """Results as CuPy gives them."""
    if isinstance(x, np.ndarray | np.generic):
        return np.asarray(x).view(DeviceArray)
    return type(x)(map(on_device, x)) if type(x) in (tuple, list) else x


class Module:
    """NumPy's functions, with arrays of the device's as results."""

    ndarray = DeviceArray

    def __init__(self, module=np):
        self._module = module

    def __getattr__(self, name):
        found = getattr(self._module, name)
        if isinstance(found, types.ModuleType):
            return Module(found)
        if isinstance(found, type) or not callable(found):
            return found

        def function(*arguments, **more):
            return on_device(found(*arguments, **more))

        return function
