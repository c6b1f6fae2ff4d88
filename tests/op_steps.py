"""The op suite's samples as steps: values and gradients, to be run eagerly and compiled."""

import numpy as np

import tensorgraph as tg

LEFT_OUT = ("uniform", "normal", "argsort")  # drawn anew; NumPy's is not stable, CuPy's is


def given(case, inputs=None, dtype="float32"):
    """The inputs of a case as tensors, floating-point ones with gradients and of this dtype."""
    arrays = [np.asarray(x) for x in (case.inputs if inputs is None else inputs)]
    tensors = [tg.tensor(x.astype(dtype) if x.dtype.kind == "f" else x) for x in arrays]
    for x in tensors:
        x.requires_grad = x.dtype.startswith("float")
    return tensors


def rolled(inputs):
    """Other inputs, the floating-point ones in another order: for a run in between, of which
    nothing may be left."""
    arrays = map(np.asarray, inputs)
    return [np.roll(x, 1) if x.dtype.kind == "f" else x for x in arrays]


def step_of(case):
    """The op, and the gradients of its sum with weights in the floating inputs."""
    call = case.call or getattr(tg.ops, case.op)

    def step(*tensors):
        out = call(*tensors, **case.params)
        if not case.order or case.kink:
            return [out]
        floating = [x for x in tensors if x.requires_grad]
        return [out, *tg.grad((out * out).sum(), floating)]

    return step
