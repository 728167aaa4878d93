"""From the bytes of a TTree's baskets to numpy arrays, without anything in between.

A basket is decompressed once, into memory that is used again, and its values are turned into the
machine's byte order on their way to their place in the column. How many hits an event has is known
from the collection's counter, so that the offsets that stand behind the values of every branch are
not looked at.

Only what nearly all files hold is read so: baskets of their own, of numbers, in zstd, LZ4, zlib or
plain. Whatever else there is, or is wrong, is `NotPlain`: uproot reads it, or says what is wrong.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cramjam
import numpy as np
import xxhash
from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.numerical import AsDtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Branch", "NotPlain", "Scratch", "branch_of"]

_KEY: Final = struct.Struct(">ihiIhh")
"""Bytes of the basket with its header, version, bytes without compression, date, of the header,
cycle."""
_BASKET: Final = struct.Struct(">hiiiib")
"""Version, two sizes, entries, end of the values counted from the header's beginning, flag: at the
end of the header."""
_BLOCK: Final = 9
_LZ4_CHECKSUM: Final = 8


class NotPlain(Exception):  # noqa: N818 - no error: something for uproot to read
    """Something that is not read here."""


class Scratch:
    """Memory for one basket after the other."""

    def __init__(self) -> None:
        self._memory = np.empty(0, dtype=np.uint8)

    def room(self, size: int) -> NDArray[np.uint8]:
        """Shape (size,), with any content."""
        if len(self._memory) < size:
            self._memory = np.empty(size, dtype=np.uint8)
        return self._memory[:size]


@dataclass(frozen=True, eq=False)
class Branch:
    """A branch of numbers, and where its baskets are."""

    name: str
    stored: np.dtype[Any]
    """As in the file."""
    jagged: bool
    source: Any
    """uproot's `Source`."""
    mapped: NDArray[np.uint8] | None
    """The whole file, if it is mapped into memory."""
    entries: NDArray[np.int64]
    """First entry of each basket, and the end; shape (baskets + 1,)."""
    seek: NDArray[np.int64]
    """Place of each basket in the file."""
    size: NDArray[np.int64]
    """Bytes of each basket."""

    def baskets(self, start: int, stop: int) -> range:
        """Those that hold entries start .. stop - 1."""
        if not 0 <= start < stop <= self.entries[-1]:
            raise NotPlain
        first, last = np.searchsorted(self.entries, [start, stop - 1], side="right") - 1
        return range(int(first), int(last) + 1)

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """First and last + 1 entry of the baskets that hold entries start .. stop - 1."""
        found = self.baskets(start, stop)
        return int(self.entries[found.start]), int(self.entries[found.stop])

    def values(self, start: int, stop: int, scratch: Scratch) -> NDArray[Any]:
        """One value per entry, shape (stop - start,).

        Raises
        ------
        NotPlain
            If this is nothing to read here.
        """
        first, last = self.span(start, stop)
        return self.hits(start, stop, np.arange(last - first + 1), first, scratch)

    def hits(
        self, start: int, stop: int, offsets: NDArray[np.int64], first: int, scratch: Scratch
    ) -> NDArray[Any]:
        """All values of entries start .. stop - 1, one behind the other.

        Parameters
        ----------
        offsets
            Where the values of entries from `first` on begin, and the end of the last; for all
            entries of the baskets that are read.

        Raises
        ------
        NotPlain
            If this is nothing to read here.
        """
        begin, end = int(offsets[start - first]), int(offsets[stop - first])
        found = np.empty(end - begin, dtype=self.stored.newbyteorder("="))
        for basket in self.baskets(start, stop):
            entries = self.entries[basket : basket + 2]
            low, high = (int(offset) for offset in offsets[entries - first])
            values = self._basket(basket, high - low, scratch)
            here, there = max(low, begin), min(high, end)
            found[here - begin : there - begin] = values[here - low : there - low]
        return found

    def _basket(self, basket: int, expected: int, scratch: Scratch) -> NDArray[Any]:
        """Values of a basket in the file's byte order, in the scratch."""
        seek, size = int(self.seek[basket]), int(self.size[basket])
        if size < _KEY.size or seek < 0:
            raise NotPlain
        raw = self._raw(seek, size)
        if len(raw) != size:
            raise NotPlain
        content, values = _header(raw, int(self.entries[basket + 1] - self.entries[basket]))
        if values != expected * self.stored.itemsize:
            raise NotPlain
        header = size - content[0]
        decompressed = _decompressed(raw[header:], content[1], scratch)
        return decompressed[:values].view(self.stored)

    def _raw(self, seek: int, size: int) -> NDArray[np.uint8]:
        """Bytes of the file."""
        if self.mapped is None:
            raw: NDArray[np.uint8] = self.source.chunk(seek, seek + size).raw_data
            return raw
        # By uproot this takes 20 us, a tenth of what the basket takes. Memory that is not mapped
        # any more must not be touched.
        if self.source.closed:
            raise NotPlain
        return self.mapped[seek : seek + size]


def branch_of(branch: Any) -> Branch:
    """What is to be known of uproot's TBranch.

    Raises
    ------
    NotPlain
        If it is anything but numbers, one per entry or many, in baskets of their own.
    """
    interpretation = branch.interpretation
    jagged = type(interpretation) is AsJagged
    if jagged:
        if interpretation.header_bytes:
            raise NotPlain
        interpretation = interpretation.content
    if type(interpretation) is not AsDtype or interpretation.inner_shape:
        raise NotPlain
    stored = interpretation.from_dtype
    number = int(branch.member("fWriteBasket"))
    tables = [branch.member(name) for name in ("fBasketEntry", "fBasketSeek", "fBasketBytes")]
    if stored.kind not in "iuf" or stored.shape or branch.embedded_baskets:
        raise NotPlain
    if number < 1 or len(tables[0]) <= number or min(len(t) for t in tables[1:]) < number:
        raise NotPlain
    entries = np.asarray(tables[0][: number + 1], dtype=np.int64)
    if entries[0] != 0 or (np.diff(entries) <= 0).any() or entries[-1] != branch.num_entries:
        raise NotPlain
    seek, size = (np.asarray(t[:number], dtype=np.int64) for t in tables[1:])
    source = branch.file.source
    file = getattr(source, "file", None)
    mapped = file.view(np.ndarray) if isinstance(file, np.memmap) else None
    return Branch(branch.name, stored, jagged, source, mapped, entries, seek, size)


def _header(raw: NDArray[np.uint8], entries: int) -> tuple[tuple[int, int], int]:
    """(bytes compressed, bytes decompressed) and bytes of the values in the latter."""
    size, _, decompressed, _, header, _ = _KEY.unpack(raw[: _KEY.size].tobytes())
    if size != len(raw) or not _KEY.size + _BASKET.size <= header <= size:
        raise NotPlain
    end = raw[header - _BASKET.size : header].tobytes()
    _, _, _, number, last, _ = _BASKET.unpack(end)
    values = last - header
    # Beside the values there is at most one offset per entry, their number, and the last one.
    if number != entries or not 0 <= values <= decompressed <= values + 4 * (entries + 3):
        raise NotPlain
    return (size - header, decompressed), values


def _decompressed(raw: NDArray[np.uint8], size: int, scratch: Scratch) -> NDArray[np.uint8]:
    if len(raw) == size:
        return raw
    memory, place, filled = scratch.room(size), 0, 0
    while place < len(raw):
        head = raw[place : place + _BLOCK].tobytes()
        if len(head) < _BLOCK:
            raise NotPlain
        place += _BLOCK
        packed, plain = (int.from_bytes(head[i : i + 3], "little") for i in (3, 6))
        if place + packed > len(raw) or filled + plain > size:
            raise NotPlain
        _unpack(head[:2], raw[place : place + packed], memory[filled : filled + plain])
        place += packed
        filled += plain
    if filled != size:
        raise NotPlain
    return memory


def _unpack(method: bytes, block: Any, into: Any) -> None:
    try:
        if method == b"ZS":
            number = cramjam.zstd.decompress_into(block, into)
        elif method == b"L4":
            checksum, block = block[:_LZ4_CHECKSUM].tobytes(), block[_LZ4_CHECKSUM:]
            if xxhash.xxh64(block).digest() != checksum:
                raise NotPlain
            number = cramjam.lz4.decompress_block_into(block, into)
        elif method == b"ZL":
            number = cramjam.zlib.decompress_into(block, into)
        else:
            raise NotPlain
    except (cramjam.DecompressionError, zlib.error, OSError, ValueError) as error:
        raise NotPlain from error
    if number != len(into):
        raise NotPlain
