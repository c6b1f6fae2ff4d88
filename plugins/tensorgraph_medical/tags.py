"""Which DICOM elements are read, and what of them leaves the reader: no name, birth date or id."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tensorgraph_medical.pseudonyms import NOTE, pseudonym

COLUMNS = {
    "site": "InstitutionName",
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "modality": "Modality",
    "view": "ViewPosition",
    "sex": "PatientSex",
}
OLDEST = 90  # so few are older that their age may say who they are
IDENTITY = ("PatientID", "IssuerOfPatientID", "PatientName")
DESCRIBING = (
    *COLUMNS.values(),
    *IDENTITY,
    "PatientAge",
    "StudyDate",
    "BurnedInAnnotation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PlanarConfiguration",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
DECODING = (
    "PixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    *(
        f"{c}PaletteColorLookupTable{k}"
        for c in ("Red", "Green", "Blue")
        for k in ("Data", "Descriptor")
    ),
)


def group(found: Any) -> str:
    """The pseudonym of the patient, "" where the file names none."""
    identity = _text(found, "PatientID")
    if not identity:
        return ""
    return pseudonym(f"{identity}\0{_text(found, 'IssuerOfPatientID')}")


def columns(found: Any) -> dict[str, str | float]:
    """Of the date the year, of an age above 89 that it is."""
    known: dict[str, str | float] = {
        name: text for name, key in COLUMNS.items() if (text := _text(found, key))
    }
    year, age = _text(found, "StudyDate")[:4], _text(found, "PatientAge")
    if year.isdecimal():
        known["year"] = float(year)
    if re.fullmatch(r"\d+[YMWD]", age):
        years = int(age[:-1]) / {"Y": 1, "M": 12, "W": 52.18, "D": 365.25}[age[-1]]
        known["age"] = round(min(years, OLDEST), 2)
    return known


def notes(found: Any, path: Path) -> tuple[str, ...]:
    """What the user should read, in sentences without a name."""
    said = [NOTE] if _text(found, "PatientID") else []
    if _text(found, "BurnedInAnnotation").upper() == "YES":
        said.append("Text is burned into the pixels of some files; names among it are not removed.")
    who = re.split(
        r"[\^=, ]+", f"{_text(found, 'PatientID')}^{_text(found, 'PatientName')}".lower()
    )
    if any(len(part) > 3 and part in str(path).lower() for part in who):
        said.append(
            "The paths of some files hold the patient's name or id, and paths are written into the "
            "run's folder: rename them."
        )
    return tuple(said)


def _text(found: Any, key: str) -> str:
    return str(found.get(key) or "").strip().strip("\0").strip()
