"""The doubles of NVIDIA's libraries, behind the classes that call the real ones."""

from cublaslt_double import CublasltDouble
from cudnn_double import FrontendDouble
from tensorgraph_cupy.lib.cublaslt import Cublaslt
from tensorgraph_cupy.lib.cudnn import Cudnn


def opened():
    """What ``EmulatedDevice`` takes: the libraries by name, opened for a device."""
    return {
        "cublaslt": lambda device: Cublaslt(CublasltDouble(device), device),
        "cudnn": lambda device: Cudnn(FrontendDouble(device), device),
    }
