"""How much of a file is read at a time: as many events as fit, by the bytes that they are.

Events of one file may be a hundred times as large as those of another, or of the same file some
clusters before. How large they are stands in the file: every basket (of a TTree) and page (of an
RNTuple) says how many bytes it holds without compression. What lies between the edges of a basket
is taken to be of equal size.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.errors import FileFormatError
from na64reco.events.files import reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.events import HitFile

__all__ = ["MEMORY", "ColumnSizes", "column_sizes", "pieces_of"]

MEMORY: Final = 1_500_000_000
"""Bytes that a process may hold where nothing else is said."""
PIECE: Final = 150_000_000
"""Bytes of all columns, without compression, that are read at a time at most. With energies, tracks
and all else that is made of them a process holds 2.2 times as much (by the measure of its limit:
reserved, but not all of it used, 3.7 times), and 0.3 GB for itself."""
_SMALLEST_PIECE: Final = 20_000_000
_PROGRAM: Final = 500_000_000
_SHARE: Final = 0.15
_LARGEST: Final = 0.3
"""Share of a process's memory that one basket may take: it is decompressed as a whole."""
_MOST_PACKED: Final = 20.0
_HEADER: Final = np.dtype([("size", ">i4"), ("version", ">i2"), ("plain", ">u4")])
"""How a basket begins: its bytes in the file, and without compression."""


@dataclass(frozen=True)
class ColumnSizes:
    """Bytes of a column without compression, basket by basket."""

    name: str
    edges: NDArray[np.int64]
    """First entry of each basket, and the end; shape (baskets + 1,)."""
    sizes: NDArray[np.int64]
    """Shape (baskets,)."""


def column_sizes(file: HitFile, start: int, stop: int) -> tuple[ColumnSizes, ...]:
    """Sizes of the baskets that hold entries start .. stop - 1, of every column of a file.

    Of a remote TTree they are estimated: by the size of the basket with compression, and what
    compression makes of the whole branch.

    Raises
    ------
    FileFormatError
        If the file is damaged where they stand.
    """
    with reading(file.path, "the sizes of its baskets"):
        if file.format == "rntuple":
            return _pages(file.tree, start, stop)
        memory = getattr(file.directory.file.source, "_file", None)
        # As a plain array: slices of a memmap take Python several times as long.
        mapped = memory.view(np.ndarray) if isinstance(memory, np.memmap) else None
        found = (_baskets(branch, mapped, start, stop) for branch in file.tree.branches)
        return tuple(sizes for sizes in found if sizes is not None)


def _baskets(
    branch: Any, mapped: NDArray[np.uint8] | None, start: int, stop: int
) -> ColumnSizes | None:
    number = int(branch.member("fWriteBasket"))
    entries, seeks, sizes = (
        branch.member(name) for name in ("fBasketEntry", "fBasketSeek", "fBasketBytes")
    )
    if number < 1 or len(entries) <= number or min(len(seeks), len(sizes)) < number:
        return None  # nothing, or in memory already with the description of the branch
    edges = np.asarray(entries[: number + 1], dtype=np.int64)
    first = max(int(np.searchsorted(edges, start, side="right")) - 1, 0)
    last = min(int(np.searchsorted(edges, stop, side="left")), number)
    if first >= last:
        return None
    edges = edges[first : last + 1]
    packed = np.asarray(sizes[first:last], dtype=np.int64)
    seek = np.asarray(seeks[first:last], dtype=np.int64)
    name = str(branch.name)
    written = max(int(branch.member("fZipBytes")), 1)
    ratio = min(max(int(branch.member("fTotBytes")) / written, 1.0), _MOST_PACKED)
    plain = (np.maximum(packed, 0) * ratio).astype(np.int64)
    if mapped is not None and seek.min() >= 0 and seek.max() + _HEADER.itemsize <= len(mapped):
        places = seek[:, None] + np.arange(_HEADER.itemsize)
        header = np.ascontiguousarray(mapped[places]).view(_HEADER)[:, 0]
        # Where no basket begins, reading it will tell better what is wrong.
        plain = np.where(header["size"] == packed, header["plain"], plain)
    return ColumnSizes(name, edges, plain.astype(np.int64))


def _pages(tree: Any, start: int, stop: int) -> tuple[ColumnSizes, ...]:
    clusters = tree.cluster_summaries
    edges = np.array([c.num_first_entry for c in clusters] + [tree.num_entries], dtype=np.int64)
    first = max(int(np.searchsorted(edges, start, side="right")) - 1, 0)
    last = min(int(np.searchsorted(edges, stop, side="left")), len(clusters))
    fields = tree.field_records
    links = tree.page_link_list[first:last]
    found = []
    for i, column in enumerate(tree.column_records):
        elements = [sum(abs(p.num_elements) for p in link[i].pages) for link in links]
        sizes = np.array(elements, dtype=np.int64) * int(column.nbits) // 8
        name = _field_name(fields, column.field_id)
        found.append(ColumnSizes(name, edges[first : last + 1], sizes))
    return tuple(found)


def _field_name(fields: Any, number: int) -> str:
    """Name with those of the collections that it is in; what is in a list is called _0."""
    names: list[str] = []
    # A field without parent is its own; those of a damaged file may go round in circles.
    for _ in fields:
        names.insert(0, str(fields[number].field_name))
        if fields[number].parent_field_id == number:
            break
        number = fields[number].parent_field_id
    return ".".join(name for name in names if name != "_0")


def pieces_of(file: HitFile, start: int, stop: int) -> list[tuple[int, int]]:
    """Entries start .. stop - 1 of a file in parts that fit into memory, as (start, stop).

    Where a process may hold less than `MEMORY`, they are smaller.

    Raises
    ------
    FileFormatError
        If a basket is larger than a process may hold.
    """
    sizes = column_sizes(file, start, stop)
    _refuse_giants(file.path, sizes)
    limit = min(PIECE, max(int(_SHARE * (_memory() - _PROGRAM)), _SMALLEST_PIECE))
    return cut(sizes, start, stop, limit)


def _refuse_giants(path: str, sizes: tuple[ColumnSizes, ...]) -> None:
    allowed = _LARGEST * _memory()
    for column in sizes:
        largest = int(column.sizes.max(initial=0))
        if largest > allowed:
            msg = (
                f"{path}: a basket of {column.name!r} holds {largest / 1e6:.0f} MB without "
                f"compression, and a process of {_memory() / 1e9:.1f} GB can take one of "
                f"{allowed / 1e6:.0f} MB. Write the file with clusters of some 10000 events, or "
                "give processes more --memory; else it is damaged."
            )
            raise FileFormatError(msg)


def _memory() -> int:
    """Bytes that this process may hold."""
    soft = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return MEMORY if soft == resource.RLIM_INFINITY else soft


def cut(sizes: tuple[ColumnSizes, ...], start: int, stop: int, limit: int) -> list[tuple[int, int]]:
    """Parts of at most `limit` bytes, as many events as possible in each, at edges if there are.

    An event that is larger by itself is a part of its own.
    """
    if sum(int(column.sizes.sum()) for column in sizes) <= limit:
        return [(start, stop)]
    edges = np.concatenate([[start, stop], *(column.edges for column in sizes)])
    knots = np.unique(np.clip(edges, start, stop))
    before = np.zeros(len(knots))
    for column in sizes:
        filled = np.concatenate([[0], np.cumsum(column.sizes)])
        before += np.interp(knots, column.edges, filled)
    common = np.array(sorted(set.intersection(*(set(c.edges.tolist()) for c in sizes))))
    parts = []
    while start < stop:
        used = float(np.interp(start, knots, before))
        end = max(int(np.interp(used + limit, before, knots)), start + 1)
        if used + limit >= before[-1]:
            end = stop
        inside = common[(common > start) & (common <= end)]
        # Where all baskets end, none is decompressed twice.
        if end < stop and len(inside):
            end = int(inside[-1])
        parts.append((start, end))
        start = end
    return parts
