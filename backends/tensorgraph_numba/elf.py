"""Native code from an object file for x86-64 Linux, put in memory and linked by hand.

What Numba compiles for Intel's and AMD's processors is an ELF file whose code reaches everything by
absolute addresses of 64 bits, so that linking it takes one kind of relocation. LLVM would do it as
well, at the price of being loaded: 45 MiB and the time for them. The formats are those of the
System V ABI, AMD64 supplement, and of <elf.h>.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
from typing import Any, NamedTuple

HEADER = struct.Struct("<4sBBB9xHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELOCATION = struct.Struct("<QQq")
X86_64, RELOCATABLE = 62, 1  # machine, type of file
SYMBOLS, WITH_ADDENDS, WITHOUT_BYTES, UNWINDING = 2, 4, 8, 0x70000001  # types of sections
IN_MEMORY = 2  # flag of a section
COMMON = 0xFFF2  # index of no section: zeros
ABSOLUTE_64 = 1  # type of relocation
READ_AND_RUN = mmap.PROT_READ | mmap.PROT_EXEC if hasattr(mmap, "PROT_EXEC") else 0
# What only the way out of an error leads to. Kernels raise none: none allocates, none checks.
ERRORS = frozenset(
    [
        "NRT_Free",
        "NRT_MemInfo_call_dtor",
        "numba_do_raise",
        "numba_gil_ensure",
        "numba_gil_release",
        "numba_unpickle",
        "numba_runtime_build_excinfo_struct",
    ]
)

_kept: list[Any] = []  # memory with code


class LinkError(Exception):
    """An object file that is not as those described above."""


class Section(NamedTuple):
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry: int


def serves() -> bool:
    """Whether native code is linked here on this system; else LLVM does it."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def link(file: bytes, entry: str) -> int:
    """Put the code of an object file in memory; the address of the function ``entry``.

    Raises ``LinkError`` where something is needed that is not there.
    """
    sections = _sections(file)
    places, size = _laid_out(sections)
    symbols = next((s for s in sections if s.type == SYMBOLS), None)
    if symbols is None:
        raise LinkError("the file has no symbols")
    names = _cut(file, sections[symbols.link])
    found = list(SYMBOL.iter_unpack(_cut(file, symbols)))
    zeros = {}
    for i, (_, _, _, section, _, bytes_) in enumerate(found):
        if section == COMMON:
            zeros[i], size = size, size + -(-bytes_ // 16) * 16
    memory = mmap.mmap(-1, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))

    def address(i: int) -> int:
        name, _, _, section, value, _ = found[i]
        if i in zeros:
            return base + zeros[i]
        if section in places:
            return base + places[section] + int(value)
        return _outside(_text(names, name))

    for i, place in places.items():
        if sections[i].type != WITHOUT_BYTES:
            memory[place : place + sections[i].size] = _cut(file, sections[i])
    for s in sections:
        if s.type == WITH_ADDENDS and s.info in places:
            for offset, what, addend in RELOCATION.iter_unpack(_cut(file, s)):
                if what & 0xFFFFFFFF != ABSOLUTE_64:
                    raise LinkError(f"relocations of type {what & 0xFFFFFFFF} are unknown")
                value = (address(what >> 32) + addend) % (1 << 64)
                struct.pack_into("<Q", memory, places[s.info] + offset, value)
    start = next((i for i, s in enumerate(found) if _text(names, s[0]) == entry), None)
    if start is None or found[start][3] not in places:
        raise LinkError(f"the file has no function {entry}")
    if ctypes.CDLL(None).mprotect(ctypes.c_void_p(base), len(memory), READ_AND_RUN):
        raise LinkError("the system lets no code be put in memory")
    _kept.append(memory)
    return address(start)


def _sections(file: bytes) -> list[Section]:
    if len(file) < HEADER.size:
        raise LinkError("the file is too short")
    magic, bits, order, _, kind, machine, _, _, _, at, _, _, _, _, entry, count, _ = (
        HEADER.unpack_from(file)
    )
    if (magic, bits, order, kind, machine, entry) != (
        *(b"\x7fELF", 2, 1, RELOCATABLE, X86_64, SECTION.size),
    ):
        raise LinkError("the file is no ELF object for x86-64")
    return [Section._make(SECTION.unpack_from(file, at + i * entry)) for i in range(count)]


def _laid_out(sections: list[Section]) -> tuple[dict[int, int], int]:
    """Sections that belong in memory → where; and the size of all of them."""
    places: dict[int, int] = {}
    size = 0
    for i, s in enumerate(sections):
        if s.flags & IN_MEMORY and s.type != UNWINDING:
            alignment = max(1, s.alignment)
            places[i] = -(-size // alignment) * alignment
            size = places[i] + s.size
    return places, -(-size // 16) * 16


def _cut(file: bytes, section: Section) -> bytes:
    return file[section.offset : section.offset + section.size]


def _text(names: bytes, at: int) -> str:
    return names[at : names.index(b"\0", at)].decode("utf-8", "replace")


def _outside(name: str) -> int:
    """The address of what the C library or Python has."""
    wanted = "abort" if name in ERRORS else name
    for library in (None, "libm.so.6"):
        try:
            function = getattr(ctypes.CDLL(library), wanted)
        except (AttributeError, OSError):
            continue
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    raise LinkError(f"{name} is not there")
