"""DICOM and NIfTI files for the tests, made by pydicom and nibabel."""

import numpy as np
import pytest

PLANTED = {  # what must never be found in what a run writes
    "PatientName": "Zwanzigerle^Hildegunde",
    "PatientID": "QX-4711-0815",
    "PatientBirthDate": "19510417",
    "PatientAddress": "Lindenallee 99 Hinterposemuckel",
    "AccessionNumber": "ACC778899",
    "InstitutionAddress": "Klinikweg 7 Musterhausen",
    "ReferringPhysicianName": "Brinkmeier^Ottokar",
    "OtherPatientIDs": "OTHER55667",
    "StudyDate": "20210309",
    "StudyID": "STUDY31337",
    "PatientComments": "lives beside the bakery",
    "RequestingPhysician": "Quastenflosser^Egon",
    "DeviceSerialNumber": "SERIAL2468",
}


def dicom_file(path, pixels, photometric="MONOCHROME2", bits=None, **tags):
    """An explicit little-endian file; tags by keyword, sequences as lists of tables."""
    pydicom = pytest.importorskip("pydicom")
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    made.SOPInstanceUID = pydicom.uid.generate_uid()
    colour = photometric == "RGB"
    made.Rows, made.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    if pixels.ndim == (4 if colour else 3):
        made.NumberOfFrames = len(pixels)
    made.SamplesPerPixel = 3 if colour else 1
    if colour:
        made.PlanarConfiguration = 0
    made.PhotometricInterpretation = photometric
    made.BitsAllocated = 8 * pixels.dtype.itemsize
    made.BitsStored = bits or made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    for key, value in tags.items():
        setattr(made, key, value)
    made.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def nifti_file(path, voxels, codes="LPS"):
    """Voxels (D, H, W) as they shall be read, stored in another orientation."""
    nibabel = pytest.importorskip("nibabel")
    turn = nibabel.orientations
    lps = nibabel.Nifti1Image(np.asarray(voxels).T, np.diag([-1.0, -1.0, 1.0, 1.0]))
    way = turn.ornt_transform(turn.axcodes2ornt("LPS"), turn.axcodes2ornt(codes))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(lps.as_reoriented(way), path)
    return path


def volumes(folder, classes=("left", "right"), n=16, shape=(8, 8, 8), patients=None, save=None):
    """A volume each, of noise with a bright half on the one or the other side."""
    draw = np.random.default_rng(0)
    for i, name in enumerate(classes):
        for j in range(n):
            x = draw.integers(0, 200, shape).astype(np.int16)
            half = shape[2] // 2
            x[..., i * half : (i + 1) * half] += 150
            (save or nifti_file)(folder / name / f"v{j:02}.nii.gz", x)
    return folder
