"""The ops beyond those of the core: a module per family, offered under ``tensorgraph.ops``.

Activations and losses are ops too, and stand in those registries as well.
"""

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register
from tensorgraph_ops import (
    activation,
    adaptive,
    axes,
    conv,
    elementwise,
    functions,
    getitem,
    index,
    label_loss,
    linalg,
    loss,
    matmul,
    norm,
    pool,
    random,
    reduction,
    resample,
    shape,
    standardize,
)

FAMILIES = {
    activation: "elu gelu hardtanh leaky_relu log_softmax relu sigmoid silu softmax softplus",
    adaptive: "adaptive_avg_pool adaptive_max_pool",
    conv: "conv conv_input conv_transpose conv_weight",
    axes: "expand_dims permute_dims squeeze",
    elementwise: "ceil clip floor isfinite log logical_xor maximum minimum pow reciprocal round "
    "rsqrt square",
    functions: "acos asin atan cos cosh erf exp expm1 log1p sin sinh tan tanh",
    getitem: "gather getitem scatter_add",
    index: "argsort embedding flip one_hot split take take_along_axis",
    label_loss: "label_cross_entropy label_cross_entropy_input",
    linalg: "einsum norm outer",
    matmul: "matmul",
    loss: "binary_cross_entropy_with_logits cross_entropy huber_loss l1_loss mse_loss nll_loss",
    norm: "batch_norm group_norm layer_norm",
    pool: "avg_pool avg_pool_input max_pool max_pool_input max_pool_pick",
    random: "bernoulli box_muller drop dropout literal normal permutation random_bits "
    "random_bits_each uniform unit_interval",
    reduction: "all any argmax argmin cumsum logsumexp max mean min prod std var",
    resample: "resample",
    shape: "concat concatenate pad pad_constant roll stack tile",
    standardize: "axis_mean axis_variance standardize standardize_input standardize_weight",
}


@hookimpl
def register_ops(register: Register) -> None:
    for module, names in FAMILIES.items():
        for name in names.split():
            register(name, getattr(module, name))


@hookimpl
def register_activations(register: Register) -> None:
    register("tanh", functions.tanh)
    for name in FAMILIES[activation].split():
        register(name, getattr(activation, name))


@hookimpl
def register_losses(register: Register) -> None:
    for name in FAMILIES[loss].split():
        register(name, getattr(loss, name))
