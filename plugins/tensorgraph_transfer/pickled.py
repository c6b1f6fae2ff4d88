"""Reading a pickle's opcodes as data: tensors and plain containers; nothing is ever called.

Python's own unpickler imports and calls what a file names, so a file of weights can run any
program. Here ``pickletools`` lists the opcodes, and those that a state dict consists of are given
their meaning below. What is not listed, an opcode or a name, is refused by name.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Iterator
from typing import Any, NamedTuple

from tensorgraph.errors import DataError

STORAGES = {  # PyTorch's name → NumPy's
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4}
BYTES |= {"int16": 2, "int8": 1, "uint8": 1, "bool": 1}
MAPPING, TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
PARAMETER = "torch._utils _rebuild_parameter"
NAMES = {MAPPING, TENSOR, PARAMETER, *(f"torch {name}" for name in STORAGES)}
PLAIN = {  # opcodes whose argument is the value
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
MOST = 1 << 20  # values in a file: a state dict has some thousands


class Name(NamedTuple):
    """What a file asks to import: only a word here."""

    text: str


class Storage(NamedTuple):
    """A run of numbers that lies elsewhere in the file."""

    key: str
    dtype: str
    length: int

    @property
    def size(self) -> int:
        return self.length * BYTES[self.dtype]


class Stored(NamedTuple):
    """A tensor: which numbers of a storage it consists of."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements


class Reader:
    """One pickle, from where ``file`` stands to its end; ``what`` it is goes before the errors."""

    def __init__(self, file: Any, what: str) -> None:
        self.file = file
        self.what = what
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []  # what lies below each mark
        self.memo: dict[int, Any] = {}

    def refused(self, why: str) -> DataError:
        return DataError(
            f"{self.what}: refused: {why}. Only tensors and plain containers are read, and nothing "
            "in the file is run; save model.state_dict() alone, or safetensors"
        )

    def read(self) -> Any:
        try:
            for number, (opcode, argument, at) in enumerate(pickletools.genops(self.file)):
                if number > MOST:
                    raise self.refused(f"it has more than {MOST:,} opcodes")
                if opcode.name == "STOP":
                    (found,) = self.stack
                    return found
                self.one(opcode.name, argument, at)
        except DataError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{self.what}: not a whole pickle: {error}") from error
        raise self.refused("it does not end")

    def one(self, name: str, argument: Any, at: int | None) -> None:
        stack = self.stack
        if name in PLAIN:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "MARK":
            self.marked.append(stack)
            self.stack = []
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self.name(argument)
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(self.made(function, arguments))
        elif name == "BINPERSID":
            stack.append(self.storage(stack.pop()))
        elif name == "BUILD":
            state, built = stack.pop(), stack[-1]  # the attribute _metadata of an OrderedDict
            if not isinstance(built, dict) or not isinstance(state, dict):
                raise self.refused(f"it sets attributes of a {type(built).__name__}")
        elif name not in ("PROTO", "FRAME"):
            self.container(name, at)

    def container(self, name: str, at: int | None) -> None:
        stack = self.stack
        if name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            if len(stack) < count:
                raise ValueError(f"{name} of {len(stack)} values")
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "TUPLE":
            self.stack = self.marked.pop()
            self.stack.append(tuple(stack))
        elif name == "APPEND":
            self.extend([stack.pop()])
        elif name == "APPENDS":
            self.stack = self.marked.pop()
            self.extend(stack)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            self.update([key, value])
        elif name == "SETITEMS":
            self.stack = self.marked.pop()
            self.update(stack)
        else:
            raise self.refused(f"the opcode {name} at byte {at}")

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise self.refused(f"it appends to a {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        mapping = self.stack[-1]
        if not isinstance(mapping, dict):
            raise self.refused(f"it sets items of a {type(mapping).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise self.refused(f"a key is a {type(key).__name__}")
            mapping[key] = value

    def name(self, argument: str | None) -> None:
        if argument is None:  # of STACK_GLOBAL the two words lie on the stack
            word, module = self.stack.pop(), self.stack.pop()
            argument = f"{module} {word}"
        if argument not in NAMES:
            raise self.refused(f"it names {argument.replace(' ', '.')!r}")
        self.stack.append(Name(argument))

    def made(self, function: Any, arguments: Any) -> Any:
        """What a call that the file asks for comes to."""
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise self.refused(f"it calls a {type(function).__name__}")
        if function.text == MAPPING:
            pairs = arguments[0] if arguments else []
            found: dict[str, Any] = {}
            for key, value in pairs:
                if not isinstance(key, str):
                    raise self.refused(f"a key is a {type(key).__name__}")
                found[key] = value
            return found
        if function.text == PARAMETER and isinstance(arguments[0], Stored):
            return arguments[0]
        if function.text == TENSOR:
            return self.tensor(*arguments[:4])
        raise self.refused(f"it calls {function.text.replace(' ', '.')!r}")

    def storage(self, identity: Any) -> Storage:
        if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
            raise self.refused("it refers to something that is not a storage of numbers")
        kind, key, count = identity[1], identity[2], identity[4]
        name = kind.text.removeprefix("torch ") if isinstance(kind, Name) else ""
        if name not in STORAGES or not isinstance(key, str) or not _counts(count):
            raise self.refused("a storage has no dtype, key or length that can be")
        if len(identity) > 5 and identity[5] is not None:
            raise self.refused(f"storage {key} is a view of another")
        return Storage(key, STORAGES[name], count)

    def tensor(self, storage: Any, offset: Any, shape: Any, strides: Any) -> Stored:
        """Raises where it would read outside its storage, or be larger than that."""
        whole = isinstance(shape, tuple) and isinstance(strides, tuple)
        if not isinstance(storage, Storage) or not whole or len(shape) != len(strides):
            raise self.refused("a tensor has no storage, shape or strides that can be")
        if len(shape) > 32 or not _counts(offset, *shape, *strides):
            raise self.refused(f"a tensor has shape {shape}, strides {strides} and offset {offset}")
        size = math.prod(shape)
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides)) if size else 0
        if size > storage.length or last >= storage.length > 0:
            raise self.refused(
                f"a tensor of shape {shape}, strides {strides} and offset {offset} lies "
                f"outside its storage of {storage.length} numbers"
            )
        return Stored(storage, offset, shape, strides)


def _counts(*values: Any) -> bool:
    return all(type(x) is int and 0 <= x < 2**48 for x in values)


def tensors(tree: Any, what: str) -> Iterator[tuple[str, Stored]]:
    """The tensors in a tree of containers, with their paths; the other values are passed over.

    A container may lie in another many times over, so their number is bounded.
    """
    waiting = [("", tree)]
    for _ in range(MOST):
        if not waiting:
            return
        path, node = waiting.pop()
        if isinstance(node, Stored):
            yield path, node
        elif type(node) in (dict, list, tuple):
            items = node.items() if isinstance(node, dict) else enumerate(node)
            inner = [(f"{path}.{key}" if path else str(key), value) for key, value in items]
            waiting += reversed(inner)
        if len(waiting) > MOST or len(path) > 1000:
            break
    raise DataError(f"{what}: refused: its containers are nested without end")
