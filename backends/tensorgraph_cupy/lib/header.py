"""What is used of cublasLt.h: names, values, structures and signatures, as the header has them."""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from enum import IntEnum
from typing import Any


class Status(IntEnum):
    CUBLAS_STATUS_SUCCESS = 0
    CUBLAS_STATUS_NOT_INITIALIZED = 1
    CUBLAS_STATUS_ALLOC_FAILED = 3
    CUBLAS_STATUS_INVALID_VALUE = 7
    CUBLAS_STATUS_ARCH_MISMATCH = 8
    CUBLAS_STATUS_MAPPING_ERROR = 11
    CUBLAS_STATUS_EXECUTION_FAILED = 13
    CUBLAS_STATUS_INTERNAL_ERROR = 14
    CUBLAS_STATUS_NOT_SUPPORTED = 15
    CUBLAS_STATUS_LICENSE_ERROR = 16


class Data(IntEnum):
    CUDA_R_32F = 0
    CUDA_R_64F = 1
    CUDA_R_16BF = 14


class Compute(IntEnum):
    CUBLAS_COMPUTE_32F = 68
    CUBLAS_COMPUTE_32F_PEDANTIC = 69
    CUBLAS_COMPUTE_32F_FAST_TF32 = 77
    CUBLAS_COMPUTE_64F = 70


class Operation(IntEnum):
    CUBLAS_OP_N = 0
    CUBLAS_OP_T = 1


class Layout(IntEnum):
    CUBLASLT_MATRIX_LAYOUT_TYPE = 0
    CUBLASLT_MATRIX_LAYOUT_ROWS = 2
    CUBLASLT_MATRIX_LAYOUT_COLS = 3
    CUBLASLT_MATRIX_LAYOUT_LD = 4
    CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT = 5
    CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET = 6


class Description(IntEnum):
    CUBLASLT_MATMUL_DESC_COMPUTE_TYPE = 0
    CUBLASLT_MATMUL_DESC_SCALE_TYPE = 1
    CUBLASLT_MATMUL_DESC_TRANSA = 3
    CUBLASLT_MATMUL_DESC_TRANSB = 4
    CUBLASLT_MATMUL_DESC_EPILOGUE = 7
    CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8
    CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER = 11
    CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD = 12


class Preference(IntEnum):
    CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 6
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 7
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8


class Epilogue(IntEnum):
    CUBLASLT_EPILOGUE_DEFAULT = 1
    CUBLASLT_EPILOGUE_RELU = 2
    CUBLASLT_EPILOGUE_RELU_AUX = 130
    CUBLASLT_EPILOGUE_BIAS = 4
    CUBLASLT_EPILOGUE_RELU_BIAS = 6
    CUBLASLT_EPILOGUE_RELU_AUX_BIAS = 134
    CUBLASLT_EPILOGUE_DRELU = 136
    CUBLASLT_EPILOGUE_DRELU_BGRAD = 152
    CUBLASLT_EPILOGUE_BGRADA = 256
    CUBLASLT_EPILOGUE_BGRADB = 512


VALUES = {  # what an attribute is set to, by its name; the library compares the size
    "CUBLASLT_MATRIX_LAYOUT_TYPE": c_uint32,
    "CUBLASLT_MATRIX_LAYOUT_ROWS": c_uint64,
    "CUBLASLT_MATRIX_LAYOUT_COLS": c_uint64,
    "CUBLASLT_MATRIX_LAYOUT_LD": c_int64,
    "CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT": c_int32,
    "CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET": c_int64,
    "CUBLASLT_MATMUL_DESC_COMPUTE_TYPE": c_int32,
    "CUBLASLT_MATMUL_DESC_SCALE_TYPE": c_int32,
    "CUBLASLT_MATMUL_DESC_TRANSA": c_int32,
    "CUBLASLT_MATMUL_DESC_TRANSB": c_int32,
    "CUBLASLT_MATMUL_DESC_EPILOGUE": c_uint32,
    "CUBLASLT_MATMUL_DESC_BIAS_POINTER": c_void_p,
    "CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER": c_void_p,
    "CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD": c_int64,
    "CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES": c_uint64,
    "CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES": c_uint32,
    "CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES": c_uint32,
    "CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES": c_uint32,
    "CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES": c_uint32,
}


class Algorithm(ctypes.Structure):
    """cublasLtMatmulAlgo_t."""

    _fields_ = (("data", c_uint64 * 8),)


class Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t."""

    _fields_ = (
        ("algo", Algorithm),
        ("workspaceSize", c_size_t),
        ("state", c_int),
        ("wavesCount", c_float),
        ("reserved", c_int * 4),
    )


SIGNATURES: dict[str, tuple[Any, ...]] = {  # each returns a Status, but for the version
    "cublasLtGetVersion": (),
    "cublasLtCreate": (c_void_p,),
    "cublasLtMatmulDescCreate": (c_void_p, c_int, c_int),
    "cublasLtMatmulDescDestroy": (c_void_p,),
    "cublasLtMatmulDescSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatrixLayoutCreate": (c_void_p, c_int, c_uint64, c_uint64, c_int64),
    "cublasLtMatrixLayoutDestroy": (c_void_p,),
    "cublasLtMatrixLayoutSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatmulPreferenceCreate": (c_void_p,),
    "cublasLtMatmulPreferenceDestroy": (c_void_p,),
    "cublasLtMatmulPreferenceSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    # handle, description, layouts of A, B, C and D, preference, results wanted, results, how many
    "cublasLtMatmulAlgoGetHeuristic": (*[c_void_p] * 7, c_int, c_void_p, c_void_p),
    # handle, description, alpha, A, its layout, B, its layout, beta, C, its layout, D, its layout,
    # algorithm, workspace, its bytes, stream
    "cublasLtMatmul": (*[c_void_p] * 14, c_size_t, c_void_p),
}


def declare(library: Any) -> Any:
    """The library with its functions' signatures."""
    for name, arguments in SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes = arguments
        function.restype = c_size_t if name == "cublasLtGetVersion" else c_int
    return library
