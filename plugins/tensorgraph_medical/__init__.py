"""DICOM and NIfTI as image formats: pydicom and nibabel, imported on first use, read them."""

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register


@hookimpl
def register_formats(register: Register) -> None:
    register("dicom", "tensorgraph_medical.dicom:dicom")
    register("nifti", "tensorgraph_medical.nifti:nifti")
