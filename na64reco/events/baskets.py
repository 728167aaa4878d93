"""From the bytes of a TTree's baskets to numpy arrays, without anything in between.

A basket is decompressed once, at its values' place in the column, where they are turned into the
machine's byte order. How many hits an event has is known from the collection's counter, so that the
offsets that stand behind the values of every branch are not looked at.

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
import zstandard
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
_BLOCK: Final = struct.Struct("<2sBHBHB")
"""Method, its version, bytes compressed and decompressed, of three bytes each."""
_LZ4_CHECKSUM: Final = 8
_DAMAGED: Final = (
    cramjam.DecompressionError,
    zstandard.ZstdError,
    zlib.error,
    OSError,
    ValueError,
)


class NotPlain(Exception):  # noqa: N818 - no error: something for uproot to read
    """Something that is not read here."""


class Scratch:
    """Memory and decompressor for one basket after the other, of one thread."""

    def __init__(self) -> None:
        self._memory = np.empty(0, dtype=np.uint8)
        self._zstd = zstandard.ZstdDecompressor()

    def room(self, size: int) -> NDArray[np.uint8]:
        """Shape (size,), with any content."""
        if len(self._memory) < size:
            self._memory = np.empty(size, dtype=np.uint8)
        return self._memory[:size]

    def zstd(self, block: Any, into: Any) -> int:
        """Decompress a frame that says that it fills `into`; the bytes written."""
        # Then it is done in one call and in place: several times as fast as piece by piece.
        if zstandard.frame_content_size(block) != len(into):
            raise NotPlain
        return self._zstd.stream_reader(block).readinto(into)


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
        found = self.baskets(start, stop)
        return self._joined(found, self.entries[found.start : found.stop + 1], start, stop, scratch)

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
        found = self.baskets(start, stop)
        edges = offsets[self.entries[found.start : found.stop + 1] - first]
        begin, end = int(offsets[start - first]), int(offsets[stop - first])
        return self._joined(found, edges, begin, end, scratch)

    def _joined(
        self, found: range, edges: NDArray[np.int64], begin: int, end: int, scratch: Scratch
    ) -> NDArray[Any]:
        """Values begin .. end - 1 of baskets that begin and end with the values `edges`."""
        width = self.stored.itemsize
        entries = self.entries[found.start : found.stop + 1].tolist()
        places = edges.tolist()
        most = max(entries[i + 1] - entries[i] for i in range(len(found)))
        memory = np.empty((end - begin) * width + _tail(most), dtype=np.uint8)
        joined = memory[: (end - begin) * width].view(self.stored.newbyteorder("="))
        for i, basket in enumerate(found):
            low, high = places[i], places[i + 1]
            here, there = max(low, begin), min(high, end)
            # Behind the values of a basket there may be offsets: what comes next overwrites them.
            place = None if high - low > there - here else memory[(low - begin) * width :]
            values = self._basket(basket, entries[i + 1] - entries[i], high - low, place, scratch)
            # Where they are at their place already, this turns their bytes round there.
            joined[here - begin : there - begin] = values[here - low : there - low]
        return joined

    def _basket(
        self,
        basket: int,
        entries: int,
        expected: int,
        place: NDArray[np.uint8] | None,
        scratch: Scratch,
    ) -> NDArray[Any]:
        """Values of a basket in the file's byte order, at a place or in the scratch."""
        seek, size = int(self.seek[basket]), int(self.size[basket])
        if size < _KEY.size or seek < 0:
            raise NotPlain
        raw = self._raw(seek, size)
        if len(raw) != size:
            raise NotPlain
        header, plain, values = _header(raw, entries)
        if values != expected * self.stored.itemsize:
            raise NotPlain
        content = raw[header:]
        if len(content) != plain:
            memory = scratch.room(plain) if place is None else place[:plain]
            content = _decompressed(content, memory, scratch)
        return content[:values].view(self.stored)

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


def _header(raw: Any, entries: int) -> tuple[int, int, int]:
    """Bytes of the header, of all that follows when decompressed, and of the values in that."""
    size, _, plain, _, header, _ = _KEY.unpack_from(raw)
    if size != len(raw) or not _KEY.size + _BASKET.size <= header <= size:
        raise NotPlain
    _, _, _, number, last, _ = _BASKET.unpack_from(raw, header - _BASKET.size)
    values = last - header
    if number != entries or not 0 <= values <= plain <= values + _tail(entries):
        raise NotPlain
    return header, plain, values


def _tail(entries: int) -> int:
    """Bytes that may be behind the values: an offset per entry, their number, and the last one."""
    return 4 * (entries + 3)


def _decompressed(raw: Any, memory: NDArray[np.uint8], scratch: Scratch) -> NDArray[np.uint8]:
    """The blocks of a basket, which fill the memory."""
    size, place, filled = len(memory), 0, 0
    while place < len(raw):
        if place + _BLOCK.size > len(raw):
            raise NotPlain
        method, _, low, high, plain_low, plain_high = _BLOCK.unpack_from(raw, place)
        packed, plain = low | high << 16, plain_low | plain_high << 16
        place += _BLOCK.size
        if place + packed > len(raw) or filled + plain > size:
            raise NotPlain
        into = memory[filled : filled + plain]
        _unpack(method, raw[place : place + packed], into, scratch)
        place += packed
        filled += plain
    if filled != size:
        raise NotPlain
    return memory


def _unpack(method: bytes, block: Any, into: Any, scratch: Scratch) -> None:
    try:
        if method == b"ZS":
            number = scratch.zstd(block, into)
        elif method == b"L4":
            checksum, block = block[:_LZ4_CHECKSUM].tobytes(), block[_LZ4_CHECKSUM:]
            if xxhash.xxh64(block).digest() != checksum:
                raise NotPlain
            number = cramjam.lz4.decompress_block_into(block, into)
        elif method == b"ZL":
            number = cramjam.zlib.decompress_into(block, into)
        else:
            raise NotPlain
    except _DAMAGED as error:
        raise NotPlain from error
    if number != len(into):
        raise NotPlain
