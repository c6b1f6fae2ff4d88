"""The formulas of Winograd's 3x3 convolutions, in one dimension.

The convolution of a tile is ``A^T [(G w G^T) * (B^T x B)] A`` (Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks", 2016): a tile of F(n x n, 3 x 3) takes (n+2)^2 points of the image
and as many multiplications per pair of channels for n^2 outputs. The gradient of the weights is
``G^T [(B^T x B) * (A g A^T)] G``, summed over the tiles.

F(2x2) evaluates polynomials at 0, 1, -1 and infinity. F(4x4) at 0, +-sqrt(1/2), +-sqrt(2) and
infinity: with points whose squares multiply to 1 rounding costs a quarter of what it does with the
usual +-1 and +-2, in as many instructions (Alam et al., "Winograd Convolution for Deep Neural
Networks: Efficient Point Selection", 2022).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

NEAR, FAR = 0.5**0.5, 2.0**0.5  # the points of F(4x4): NEAR * FAR = 1


class Term:
    """A vector in LLVM's code with the operators that the formulas below use. A product that goes
    into a sum may become one instruction where the processor has it."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: Term) -> Term:
        return Term(self.builder, self.builder.fadd(self.value, other.value, flags=["contract"]))

    def __sub__(self, other: Term) -> Term:
        return Term(self.builder, self.builder.fsub(self.value, other.value, flags=["contract"]))

    def __mul__(self, factor: float) -> Term:
        form = self.value.type
        constant = ir.Constant(form, [factor] * form.count)
        return Term(self.builder, self.builder.fmul(self.value, constant, flags=["contract"]))


def input_2(x: Any) -> Any:
    """B^T of F(2x2): 4 points of the image to 4."""
    return [x[0] - x[2], x[1] + x[2], x[2] - x[1], x[3] - x[1]]


def output_2(m: Any) -> Any:
    """A^T of F(2x2): 4 products to 2 outputs."""
    return [m[0] + m[1] + m[2], m[1] - m[2] + m[3]]


def weight_2(w: Any) -> Any:
    """G of F(2x2): 3 weights to 4."""
    even, odd = (w[0] + w[2]) * 0.5, w[1] * 0.5
    return [w[0], even + odd, even - odd, w[2]]


def output_gradient_2(y: Any) -> Any:
    """A of F(2x2): 2 gradients of outputs to 4 of products."""
    return [y[0], y[0] + y[1], y[0] - y[1], y[1]]


def weight_gradient_2(u: Any) -> Any:
    """G^T of F(2x2): 4 gradients of transformed weights to 3."""
    even, odd = (u[1] + u[2]) * 0.5, (u[1] - u[2]) * 0.5
    return [u[0] + even, odd, even + u[3]]


def input_4(x: Any) -> Any:
    """B^T of F(4x4): 6 points of the image to 6."""
    near_even, near_odd = x[4] - x[2] * 2.0, x[3] - x[1] * 2.0
    far_even, far_odd = x[4] - x[2] * 0.5, x[3] - x[1] * 0.5
    return [
        x[0] + x[4] - x[2] * 2.5,
        near_even + near_odd * NEAR,
        near_even - near_odd * NEAR,
        far_even + far_odd * FAR,
        far_even - far_odd * FAR,
        x[1] + x[5] - x[3] * 2.5,
    ]


def output_4(m: Any) -> Any:
    """A^T of F(4x4): 6 products to 4 outputs."""
    near_even, near_odd = m[1] + m[2], m[1] - m[2]
    far_even, far_odd = m[3] + m[4], m[3] - m[4]
    return [
        m[0] + near_even + far_even,
        near_odd * NEAR + far_odd * FAR,
        near_even * 0.5 + far_even * 2.0,
        m[5] + near_odd * NEAR**3 + far_odd * FAR**3,
    ]


def weight_4(w: Any) -> Any:
    """G of F(4x4): 3 weights to 6."""
    near_even, near_odd = w[0] * (-2 / 3) - w[2] * (1 / 3), w[1] * (NEAR * 2 / 3)
    far_even, far_odd = w[0] * (1 / 6) + w[2] * (1 / 3), w[1] * (FAR / 6)
    return [
        w[0],
        near_even - near_odd,
        near_even + near_odd,
        far_even + far_odd,
        far_even - far_odd,
        w[2],
    ]


def output_gradient_4(y: Any) -> Any:
    """A of F(4x4): 4 gradients of outputs to 6 of products."""
    near_even, near_odd = y[0] + y[2] * 0.5, y[1] + y[3] * 0.5
    far_even, far_odd = y[0] + y[2] * 2.0, y[1] + y[3] * 2.0
    return [
        y[0],
        near_even + near_odd * NEAR,
        near_even - near_odd * NEAR,
        far_even + far_odd * FAR,
        far_even - far_odd * FAR,
        y[3],
    ]


def weight_gradient_4(u: Any) -> Any:
    """G^T of F(4x4): 6 gradients of transformed weights to 3."""
    near_even, near_odd = u[1] + u[2], u[1] - u[2]
    far_even, far_odd = u[3] + u[4], u[3] - u[4]
    return [
        u[0] - near_even * (2 / 3) + far_even * (1 / 6),
        far_odd * (FAR / 6) - near_odd * (NEAR * 2 / 3),
        (far_even - near_even) * (1 / 3) + u[5],
    ]
