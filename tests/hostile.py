"""Files that claim more than they hold, or more than they should; and what reading one takes.

``python hostile.py PATH`` tries to read it and prints the error, and by how many bytes the process
and its Python objects grew meanwhile at most.
"""

import contextlib
import gzip
import io
import json
import struct
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, body, colour=0):
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def zeros(size):
    pack, out = zlib.compressobj(9), []
    for _ in range(size >> 20):
        out.append(pack.compress(bytes(1 << 20)))
    return b"".join([*out, pack.compress(bytes(size % (1 << 20))), pack.flush()])


def bomb_png(path):
    """A real one: 196 million pixels in 190 KB."""
    path.write_bytes(png(14000, 14000, zeros(14001 * 14000)))


def lying_png(path):
    path.write_bytes(png(9000, 9000, zlib.compress(bytes(100))))


def lying_bmp(path):
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "BMP")
    data = bytearray(stream.getvalue())
    struct.pack_into("<ii", data, 18, 9000, 9000)
    path.write_bytes(data)


def lying_tiff(path):
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "TIFF")
    data = stream.getvalue()
    for tag in (256, 257, 278):  # width, length, rows per strip
        at = data.index(struct.pack("<HH", tag, 4)) if struct.pack("<HH", tag, 4) in data else None
        at = data.index(struct.pack("<HH", tag, 3)) if at is None else at
        data = data[: at + 2] + struct.pack("<HII", 4, 1, 9000) + data[at + 12 :]
    path.write_bytes(data)


def lying_jpeg(path):
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "JPEG")
    data = stream.getvalue()
    at = data.index(b"\xff\xc0") + 5
    path.write_bytes(data[:at] + struct.pack(">HH", 9000, 9000) + data[at + 4 :])


def array_header(shape, dtype="|u1"):
    out = io.BytesIO()
    fields = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, fields)
    return out.getvalue()


def lying_npz(path):
    """An array's header claims 32 GiB, and a few bytes follow."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_images.npy", array_header((1 << 25, 32, 32)) + bytes(100))
        archive.writestr("train_labels.npy", array_header((4,)) + bytes(4))


def twice_lying_npz(path):
    """The archive's list of contents claims it too."""
    lying_npz(path)
    data, size = bytearray(path.read_bytes()), len(array_header((1 << 25, 32, 32))) + 100
    for at in range(len(data) - 4):
        if data[at : at + 8] == struct.pack("<II", size, size):
            data[at : at + 8] = struct.pack("<II", size, 0xFFFFFFF0)
    path.write_bytes(data)


def bomb_npz(path):
    """It really unpacks to 300 MiB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("train_images.npy", "w", force_zip64=True) as stream:
            stream.write(array_header((300 << 10, 32, 32)))
            for _ in range(300):
                stream.write(bytes(1 << 20))
        archive.writestr("train_labels.npy", array_header((4,)) + bytes(4))


def volume(path, dim, offset=352.0, voxels=512):
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((8, 8, 8))
    header["dim"][1:4], header["vox_offset"], header["magic"] = dim, offset, b"n+1"
    data = header.binaryblock + bytes(4)
    if path.suffix != ".gz":
        path.write_bytes(data + bytes(voxels))
        return
    with gzip.open(path, "wb", 9) as stream:
        stream.write(data)
        for _ in range(voxels >> 20):
            stream.write(bytes(1 << 20))
        stream.write(bytes(voxels % (1 << 20)))


def lying_nii(path):
    volume(path, (3000, 3000, 3000))


def lying_nii_gz(path):
    volume(path, (3000, 3000, 3000))


def bomb_nii_gz(path):
    volume(path, (650, 650, 650), voxels=650**3)


def far_nii(path):
    volume(path, (8, 8, 8), offset=1e12)


def dicom(path, **tags):
    from medical_help import dicom_file

    dicom_file(path, np.zeros((16, 16), np.uint8), **tags)


def lying_dcm(path):
    dicom(path, NumberOfFrames=20000)
    data = path.read_bytes()
    for tag in (b"\x28\x00\x10\x00US", b"\x28\x00\x11\x00US"):  # Rows, Columns
        at = data.index(tag) + 8
        data = data[:at] + b"\xff\xff" + data[at + 2 :]
    path.write_bytes(data)


def long_dcm(path):
    """The element that names the patient claims 4 GB."""
    dicom(path, PatientID="p1", PatientComments="x")
    data = path.read_bytes()
    at = data.index(b"\x10\x00\x20\x00LO")
    path.write_bytes(data[:at] + b"\x10\x00\x20\x00UT\0\0\xf0\xff\xff\xff" + data[at + 8 :])


def deep_dcm(path):
    """Sequences in sequences."""
    dicom(path, RescaleSlope=1)
    data = path.read_bytes()
    at = data.index(b"\x28\x00\x53\x10DS")
    opened = b"\x28\x00\x00\x30SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path.write_bytes(data[:at] + opened * 20000 + data[at:])


def program_dcm(path):
    dicom(path)
    path.write_bytes(b"MZ\x90\x00" + path.read_bytes()[4:])


def elf_dcm(path):
    dicom(path)
    path.write_bytes(b"\x7fELF\x02\x01\x01" + path.read_bytes()[7:])


def inflating_dcm(path):
    """All after its first group has been deflated: 64 MB of nothing."""
    dicom(path)
    data = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    at = data.index(b"\x02\x00\x10\x00UI") + 6
    data = data[:at] + struct.pack("<H", 22) + data[at + 2 :]
    start = data.index(b"1.2.840.10008.1.2.1.99") + 22
    path.write_bytes(data[:start] + zeros(64 << 20)[2:-4])


FILES = {
    "bomb.png": (bomb_png, "is refused as a decompression bomb: Image size (196000000 pixels)"),
    "lying.png": (lying_png, "claims 81,000,000 values, which a file of 69 bytes cannot hold"),
    "lying.bmp": (lying_bmp, "it claims 231.7 MiB of pixels and is a file of 246 bytes"),
    "lying.tif": (lying_tiff, "it claims 77.2 MiB of pixels and is a file of"),
    "lying.jpg": (lying_jpeg, "claims 81,000,000 values, which a file of"),
    "lying.npz": (lying_npz, "train_images claims 32.0 GiB (uint8[33554432, 32, 32]), and the"),
    "twice.npz": (twice_lying_npz, "train_images claims 32.0 GiB"),
    "bomb.npz": (bomb_npz, "train_images, which is a file of 298.7 KiB that claims 314,572,800 va"),
    "lying.nii": (lying_nii, "which end at byte 27000000352, and is a file of 864"),
    "lying.nii.gz": (lying_nii_gz, "claims 27,000,000,000 values, which a file of"),
    "bomb.nii.gz": (
        bomb_nii_gz,
        "that claims 274,625,000 values: it is refused as a decompression",
    ),
    "far.nii.gz": (far_nii, "its header says that the voxels begin at 999999995904"),
    "lying.dcm": (lying_dcm, "bytes of pixels and is a file of"),
    "long.dcm": (long_dcm, "holds no image (it is of no modality)"),
    "deep.dcm": (deep_dcm, "is damaged or cut short: it cannot be parsed"),
    "program.dcm": (program_dcm, "begins as a Windows program does, and is refused"),
    "elf.dcm": (elf_dcm, "begins as a Linux program does, and is refused"),
    "inflating.dcm": (inflating_dcm, "is deflated as a whole, which is not read"),
}


def grown():
    """The largest size that the process had, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmPeak:")[1].split()[0])


def main(path):
    import tensorgraph as tg
    from tensorgraph.errors import DataError

    source = tg.datasets["medmnist" if path.suffix == ".npz" else "image"]
    good = path.with_name(f"good{''.join(path.suffixes)}")
    with contextlib.suppress(DataError):  # what is imported is none of the file's doing
        source.load(good if good.exists() else path.parent / "good.png")
    before = grown()
    tracemalloc.start()
    try:
        source.load(path)
    except DataError as error:
        said = str(error)
    else:
        said = ""
    objects = tracemalloc.get_traced_memory()[1]
    print(json.dumps({"said": said, "process": grown() - before, "objects": objects}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
