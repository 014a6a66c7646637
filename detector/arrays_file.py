"""Named arrays in a file that runs no code when read: a line of JSON, then their bytes, compressed.

Ten thousand models are read at a start; numpy's own archive takes twenty times as long for small arrays.
"""

import math
import zlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

KINDS: Final = frozenset("fiub")
"""Kinds of numbers that are stored: floats, whole numbers, booleans."""
BYTES_MOST: Final = 1024**3
_Head = list[tuple[str, str, tuple[int, ...]]]


class WrongArraysError(ValueError):
    """The bytes are not what `written` makes."""


def written(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the arrays as bytes. Raises ValueError for arrays of anything else than numbers."""
    held = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for name, array in held.items():
        if array.dtype.kind not in KINDS:
            raise ValueError(f"{name} is of {array.dtype}: only numbers are stored")
    head: _Head = [(name, one.dtype.str, arrays[name].shape) for name, one in held.items()]
    content = b"".join(one.tobytes() for one in held.values())
    return msgspec.json.encode(head) + b"\n" + zlib.compress(content, 1)


def read(packed: bytes) -> dict[str, NDArray[Any]]:
    """Return what was written; the arrays may be changed. Raises WrongArraysError."""
    head, _, compressed = packed.partition(b"\n")
    try:
        entries = msgspec.json.decode(head, type=_Head)
        unpacker = zlib.decompressobj()
        content = bytearray(unpacker.decompress(compressed, BYTES_MOST))
    except (msgspec.DecodeError, zlib.error) as error:
        raise WrongArraysError(str(error)) from error
    if not unpacker.eof:
        raise WrongArraysError("the bytes end too early, or are too many")
    found: dict[str, NDArray[Any]] = {}
    first = 0
    for name, kind, shape in entries:
        if kind[1:2] not in KINDS or any(size < 0 for size in shape):
            raise WrongArraysError(f"{name} is said to be {kind} {shape}")
        try:
            found[name] = np.frombuffer(content, np.dtype(kind), math.prod(shape), first).reshape(shape)
        except (ValueError, TypeError) as error:
            raise WrongArraysError(f"{name}: {error}") from error
        first += found[name].nbytes
    if first != len(content):
        raise WrongArraysError(f"{len(content)} bytes where {first} are told of")
    return found
