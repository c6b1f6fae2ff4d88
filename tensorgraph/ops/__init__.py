"""The ops: every function of tensors that tensorgraph knows, a module per family."""

# ruff: noqa: I001, A004  an index: dense, by family, and the names are the array API's
# fmt: off
from tensorgraph.ops.adaptive import (
    adaptive_avg_pool as adaptive_avg_pool, adaptive_max_pool as adaptive_max_pool,
)
from tensorgraph.ops.conv import (
    conv as conv, conv_input as conv_input, conv_transpose as conv_transpose,
    conv_weight as conv_weight,
)
from tensorgraph.ops.activation import (
    elu as elu, gelu as gelu, hardtanh as hardtanh, leaky_relu as leaky_relu,
    log_softmax as log_softmax, relu as relu, sigmoid as sigmoid, silu as silu,
    softmax as softmax, softplus as softplus,
)
from tensorgraph.ops.elementwise import (
    abs as abs, add as add, cast as cast, ceil as ceil, clip as clip, divide as divide,
    equal as equal, floor as floor, greater as greater, greater_equal as greater_equal,
    isfinite as isfinite, less as less, less_equal as less_equal, log as log,
    logical_and as logical_and, logical_not as logical_not, logical_or as logical_or,
    logical_xor as logical_xor, maximum as maximum, minimum as minimum, multiply as multiply,
    negative as negative, not_equal as not_equal, pow as pow, reciprocal as reciprocal,
    round as round, rsqrt as rsqrt, sign as sign, sqrt as sqrt, square as square,
    subtract as subtract, where as where,
)
from tensorgraph.ops.functions import (
    acos as acos, asin as asin, atan as atan, cos as cos, cosh as cosh, erf as erf, exp as exp,
    expm1 as expm1, log1p as log1p, sin as sin, sinh as sinh, tan as tan, tanh as tanh,
)
from tensorgraph.ops.index import (
    argsort as argsort, embedding as embedding, flip as flip,
    gather as gather, getitem as getitem, one_hot as one_hot, scatter_add as scatter_add,
    split as split, take as take, take_along_axis as take_along_axis,
)
from tensorgraph.ops.norm import (
    batch_norm as batch_norm, group_norm as group_norm, layer_norm as layer_norm,
)
from tensorgraph.ops.pool import (
    avg_pool as avg_pool, avg_pool_input as avg_pool_input, max_pool as max_pool,
    max_pool_input as max_pool_input, max_pool_pick as max_pool_pick,
)
from tensorgraph.ops.linalg import (
    einsum as einsum, matmul as matmul, norm as norm, outer as outer,
)
from tensorgraph.ops.loss import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
    cross_entropy as cross_entropy, huber_loss as huber_loss, l1_loss as l1_loss,
    mse_loss as mse_loss, nll_loss as nll_loss,
)
from tensorgraph.ops.random import (
    bernoulli as bernoulli, box_muller as box_muller, dropout as dropout, literal as literal,
    normal as normal, permutation as permutation, random_bits as random_bits, uniform as uniform,
    unit_interval as unit_interval,
)
from tensorgraph.ops.reduction import (
    all as all, any as any, argmax as argmax, argmin as argmin, cumsum as cumsum,
    logsumexp as logsumexp, max as max, mean as mean, min as min, prod as prod, std as std,
    sum as sum, var as var,
)
from tensorgraph.ops.shape import (
    broadcast_to as broadcast_to, concat as concat, concatenate as concatenate,
    expand_dims as expand_dims, pad as pad, pad_constant as pad_constant,
    permute_dims as permute_dims, reshape as reshape, roll as roll, squeeze as squeeze,
    stack as stack, sum_to as sum_to, tile as tile,
)
