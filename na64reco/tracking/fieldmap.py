"""Field maps on a regular grid: from text or ROOT histograms, interpolated in all three directions.

A map is given about the centre of its magnet: its (0, 0, 0) is the magnet's (0, 0, z). Text
files have six columns whose header names them with their units, in any order::

    x[mm] y[mm] z[mm] Bx[T] By[T] Bz[T]
    -100 -50 -1500 0.0 0.0021 0.0
    ...

with one line per grid node, in any order, blanks or commas between numbers; lines that begin
with ``#`` are comments, except that the header may begin so. ROOT files have three TH3 named
``Bx``, ``By``, ``Bz`` with the nodes at the bins' centres; axis titles ("x [mm]") and the titles
of the histograms ("By [T]") name the units.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from na64reco.errors import SetupError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FieldMap", "column", "integrals", "interpolate", "load_field_map", "table_of"]

_COLUMNS: Final = ("x", "y", "z", "bx", "by", "bz")
_LENGTHS: Final = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
_FIELDS: Final = {"T": 1.0, "mT": 1e-3, "kG": 0.1, "G": 1e-4}
_NAME: Final = re.compile(r"(\w+)\s*[\[(]\s*(\w+)\s*[\])]")
_IRREGULAR: Final = 1e-3
"""Largest distance of a node from its place on the grid, in units of the grid's step."""
_MOST_NODES: Final = 200_000_000


@dataclass(frozen=True, eq=False)
class FieldMap:
    """A field on a regular grid."""

    source: str
    """The file."""
    origin: NDArray[np.float64]
    """First node (x, y, z), mm."""
    step: NDArray[np.float64]
    """Distance of the nodes in x, y, z, mm."""
    values: NDArray[np.float64]
    """(Bx, By, Bz) at each node, T; shape (nx, ny, nz, 3)."""

    @property
    def end(self) -> NDArray[np.float64]:
        """Last node, mm."""
        return np.asarray(self.origin + self.step * (np.array(self.values.shape[:3]) - 1))

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Field (n, 3) in T at points (n, 3) in mm; NaN outside."""
        at = np.ascontiguousarray(np.atleast_2d(points), np.float64)
        out = np.empty_like(at)
        nodes = np.array([(*self.values.shape[:3], 0)], np.int64)
        _evaluate(at, self.origin[None], self.step[None], nodes, self.values.reshape(-1, 3), out)
        return out


@cache
def load_field_map(path: str) -> FieldMap:
    """Read a map from a text or ROOT file (see the module); read once per process.

    Raises
    ------
    SetupError
        Where the file is missing, has the wrong columns or units, numbers that are not finite, or
        nodes that do not make a regular grid.
    """
    file = Path(path)
    if not file.is_file():
        msg = (
            f"There is no field map {path} (a relative path counts from the working folder, "
            f"{Path.cwd()}); correct `map:` of the magnet or leave it out for a uniform field."
        )
        raise SetupError(msg)
    if file.suffix == ".root":
        return _from_root(file)
    return _from_nodes(file, _read_text(file))


def _unit(path: Path, name: str, unit: str | None, known: dict[str, float]) -> float:
    if unit not in known:
        msg = (
            f"field map {path}: {name} has "
            f"{'no unit' if unit is None else f'the unknown unit {unit!r}'}; "
            f"write it as {name}[{next(iter(known))}], with one of {', '.join(known)}"
        )
        raise SetupError(msg)
    return known[unit]


def _read_text(path: Path) -> NDArray[np.float64]:
    """Nodes (n, 6): position in mm and field in T."""
    lines = path.read_text(encoding="utf-8").splitlines()
    header, factors, order = -1, [], []
    for i, line in enumerate(lines):
        if not line.strip():
            continue
        names = line.lstrip("# \t")
        found = _NAME.findall(names)
        known = [n.lower() for n, _ in found]
        if {"x", "by"} <= set(known):
            if sorted(known) != sorted(_COLUMNS):
                msg = (
                    f"field map {path}, line {i + 1}: columns {', '.join(known)}; expected "
                    "x, y, z, Bx, By, Bz, each once, as in 'x[mm] y[mm] z[mm] Bx[T] By[T] Bz[T]'"
                )
                raise SetupError(msg)
            header = i
            order = [known.index(c) for c in _COLUMNS]
            factors = [
                _unit(path, found[j][0], found[j][1], _LENGTHS if k < 3 else _FIELDS)
                for k, j in enumerate(order)
            ]
            break
        if not line.lstrip().startswith("#"):
            break
    if header < 0:
        msg = (
            f"field map {path}: no header that names columns and units before the first numbers; "
            "expected a line like 'x[mm] y[mm] z[mm] Bx[T] By[T] Bz[T]'"
        )
        raise SetupError(msg)
    body = [
        (i, line.replace(",", " "))
        for i, line in enumerate(lines[header + 1 :], header + 2)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not body:
        msg = f"field map {path}: no nodes behind the header in line {header + 1}"
        raise SetupError(msg)
    try:
        table = np.array([text.split() for _, text in body], np.float64)
    except ValueError:
        table = np.empty((0, 0))
    if table.shape[1:] != (6,):
        _blame_line(path, body)
    return np.asarray(table[:, order] * np.array(factors), np.float64)


def _blame_line(path: Path, body: list[tuple[int, str]]) -> None:
    for number, text in body:
        words = text.split()
        try:
            good = len([float(w) for w in words]) == 6
        except ValueError:
            good = False
        if not good:
            msg = f"field map {path}, line {number}: expected six numbers, found {text.strip()!r}"
            raise SetupError(msg)


def _axis(path: Path, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distinct positions of the nodes along an axis, which must be equidistant."""
    ordered = np.sort(values)
    span = ordered[-1] - ordered[0]
    # Positions are distinct where they differ by more than rounding does.
    distinct = ordered[np.concatenate(([True], np.diff(ordered) > 1e-6 * max(span, 1e-9)))]
    if len(distinct) < 2:
        msg = f"field map {path}: all nodes have {name} = {ordered[0]:g} mm; needs two at least"
        raise SetupError(msg)
    steps = np.diff(distinct)
    mean = (distinct[-1] - distinct[0]) / len(steps)
    worst = int(np.argmax(np.abs(steps - mean)))
    if abs(steps[worst] - mean) > _IRREGULAR * mean:
        msg = (
            f"field map {path}: irregular grid: {name} goes from {distinct[worst]:g} to "
            f"{distinct[worst + 1]:g} mm, but by {mean:g} mm on average; put the map on a grid "
            "with equal steps"
        )
        raise SetupError(msg)
    return np.asarray(distinct, np.float64)


def _from_nodes(path: Path, nodes: NDArray[np.float64]) -> FieldMap:
    if not np.isfinite(nodes).all():
        row = int(np.flatnonzero(~np.isfinite(nodes).all(axis=1))[0])
        msg = f"field map {path}: node number {row + 1} is not finite: {nodes[row].tolist()}"
        raise SetupError(msg)
    axes = [_axis(path, name, nodes[:, i]) for i, name in enumerate("xyz")]
    shape = tuple(len(a) for a in axes)
    total = shape[0] * shape[1] * shape[2]
    origin = np.array([a[0] for a in axes])
    step = np.array([(a[-1] - a[0]) / (len(a) - 1) for a in axes])
    if total != len(nodes):
        msg = (
            f"field map {path}: {len(nodes)} nodes, but {shape[0]} x {shape[1]} x {shape[2]} "
            f"different x, y, z make a grid of {total}; every node must be there once"
        )
        raise SetupError(msg)
    index = np.rint((nodes[:, :3] - origin) / step).astype(np.int64)
    flat = np.ravel_multi_index(tuple(index.T), shape)
    if len(np.unique(flat)) != total:
        twice = np.flatnonzero(np.bincount(flat, minlength=total) > 1)[0]
        at = origin + step * np.array(np.unravel_index(twice, shape))
        msg = f"field map {path}: the node at {at.tolist()} mm is there more than once"
        raise SetupError(msg)
    values = np.empty((total, 3))
    values[flat] = nodes[:, 3:]
    return FieldMap(str(path), origin, step, values.reshape(*shape, 3))


def _title_unit(title: str) -> str | None:
    found = re.search(r"[\[(]\s*(\w+)\s*[\])]", title)
    return found.group(1) if found else None


def _from_root(path: Path) -> FieldMap:
    import uproot

    try:
        with uproot.open(path) as file:
            names = sorted(file.keys(cycle=False, recursive=False))
            missing = [n for n in ("Bx", "By", "Bz") if n not in names]
            if missing:
                msg = (
                    f"field map {path}: no histogram {', '.join(missing)}; expected three TH3 "
                    f"Bx, By, Bz, found {', '.join(names) or 'nothing'}"
                )
                raise SetupError(msg)
            histograms: list[Any] = [file[n] for n in ("Bx", "By", "Bz")]
            kinds = [str(h.classname) for h in histograms]
    except (OSError, ValueError) as error:
        msg = f"field map {path}: not readable as a ROOT file: {error}"
        raise SetupError(msg) from None
    for name, kind in zip(("Bx", "By", "Bz"), kinds, strict=True):
        if not kind.startswith("TH3"):
            msg = f"field map {path}: {name} is a {kind}; expected a TH3"
            raise SetupError(msg)
    components, grid = [], None
    for name, histogram in zip(("Bx", "By", "Bz"), histograms, strict=True):
        centres = []
        for i, axis in enumerate("xyz"):
            title = str(histogram.member(f"f{axis.upper()}axis").member("fTitle"))
            unit = _unit(path, f"axis {axis} of {name}", _title_unit(title), _LENGTHS)
            centres.append(np.asarray(histogram.axis(i).centers(), np.float64) * unit)
        if grid is None:
            grid = centres
        elif any(not np.array_equal(a, b) for a, b in zip(grid, centres, strict=True)):
            msg = f"field map {path}: {name} has other bins than Bx; all three must have the same"
            raise SetupError(msg)
        unit = _unit(path, name, _title_unit(str(histogram.member("fTitle"))), _FIELDS)
        components.append(np.asarray(histogram.values(), np.float64) * unit)
    assert grid is not None
    values = np.ascontiguousarray(np.stack(components, axis=-1))
    if not np.isfinite(values).all():
        msg = f"field map {path}: some bins are not finite"
        raise SetupError(msg)
    axes = [_axis(path, name, a) for name, a in zip("xyz", grid, strict=True)]
    origin = np.array([a[0] for a in axes])
    step = np.array([(a[-1] - a[0]) / (len(a) - 1) for a in axes])
    return FieldMap(str(path), origin, step, values)


def table_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(Bx, By, Bz), and integral and double integral of By along z up to each node.

    Shape (nx, ny, nz, 5); integrals over z in units of the step, of By linear between nodes.
    """
    by = values[..., 1]
    once, twice = np.zeros_like(by), np.zeros_like(by)
    once[..., 1:] = np.cumsum((by[..., 1:] + by[..., :-1]) / 2, axis=2)
    rise = once[..., :-1] + by[..., :-1] / 3 + by[..., 1:] / 6
    twice[..., 1:] = np.cumsum(rise, axis=2)
    return np.concatenate([values, once[..., None], twice[..., None]], axis=3)


@njit(cache=True, inline="always")
def column(x, y, m, origin, step, nodes):  # type: ignore[no-untyped-def]
    """Where (x, y) is in map number ``m``, see `na64reco.tracking.field.Field`.

    Returns
    -------
    tuple
        Inside or not; place in x and y within the cell (0 to 1); place of its four columns of
        nodes (z running) in the table: (i, j), (i, j + 1), (i + 1, j), (i + 1, j + 1).
    """
    nx, ny, nz = nodes[m, 0], nodes[m, 1], nodes[m, 2]
    u, v = (x - origin[m, 0]) / step[m, 0], (y - origin[m, 1]) / step[m, 1]
    if not (0.0 <= u <= nx - 1.0 and 0.0 <= v <= ny - 1.0):
        return False, 0.0, 0.0, 0, 0, 0, 0
    i, j = min(int(u), nx - 2), min(int(v), ny - 2)
    a = nodes[m, 3] + (i * ny + j) * nz
    return True, u - i, v - j, a, a + nz, a + nz * ny, a + nz * ny + nz


@njit(cache=True, inline="always")
def interpolate(place, z, m, origin, step, nodes, table):  # type: ignore[no-untyped-def]
    """Trilinear interpolation at z of a ``place`` from `column`; z is taken to be inside.

    Returns
    -------
    tuple
        B (3 numbers), dB/dx (3), dB/dy (3), d2B/dxdy (3).
    """
    _, u, v, a, b, c, d = place
    w = (z - origin[m, 2]) / step[m, 2]
    k = min(max(int(w), 0), nodes[m, 2] - 2)
    w -= k
    a, b, c, d = a + k, b + k, c + k, d + k
    p00x = table[a, 0] + w * (table[a + 1, 0] - table[a, 0])
    p00y = table[a, 1] + w * (table[a + 1, 1] - table[a, 1])
    p00z = table[a, 2] + w * (table[a + 1, 2] - table[a, 2])
    p01x = table[b, 0] + w * (table[b + 1, 0] - table[b, 0])
    p01y = table[b, 1] + w * (table[b + 1, 1] - table[b, 1])
    p01z = table[b, 2] + w * (table[b + 1, 2] - table[b, 2])
    p10x = table[c, 0] + w * (table[c + 1, 0] - table[c, 0])
    p10y = table[c, 1] + w * (table[c + 1, 1] - table[c, 1])
    p10z = table[c, 2] + w * (table[c + 1, 2] - table[c, 2])
    p11x = table[d, 0] + w * (table[d + 1, 0] - table[d, 0])
    p11y = table[d, 1] + w * (table[d + 1, 1] - table[d, 1])
    p11z = table[d, 2] + w * (table[d + 1, 2] - table[d, 2])
    lx, ly, lz = p00x + v * (p01x - p00x), p00y + v * (p01y - p00y), p00z + v * (p01z - p00z)
    dx = p10x + v * (p11x - p10x) - lx
    dy = p10y + v * (p11y - p10y) - ly
    dz = p10z + v * (p11z - p10z) - lz
    gx, gy = p11x - p10x - p01x + p00x, p11y - p10y - p01y + p00y
    gz = p11z - p10z - p01z + p00z
    ex, ey, ez = p01x - p00x + u * gx, p01y - p00y + u * gy, p01z - p00z + u * gz
    rx, ry = 1.0 / step[m, 0], 1.0 / step[m, 1]
    return (
        lx + u * dx, ly + u * dy, lz + u * dz,
        dx * rx, dy * rx, dz * rx, ex * ry, ey * ry, ez * ry,
        gx * rx * ry, gy * rx * ry, gz * rx * ry,
    )  # fmt: skip


@njit(cache=True, inline="always")
def integrals(place, z, m, origin, step, nodes, table):  # type: ignore[no-untyped-def]
    """Integral (T mm) and double integral (T mm^2) of By along z from the map's begin to z."""
    _, u, v, a, b, c, d = place
    w = (z - origin[m, 2]) / step[m, 2]
    k = min(max(int(w), 0), nodes[m, 2] - 2)
    w -= k
    q00, q01, q10, q11 = (1.0 - u) * (1.0 - v), (1.0 - u) * v, u * (1.0 - v), u * v
    a, b, c, d = a + k, b + k, c + k, d + k
    f = q00 * table[a, 1] + q01 * table[b, 1] + q10 * table[c, 1] + q11 * table[d, 1]
    g = q00 * table[a + 1, 1] + q01 * table[b + 1, 1] + q10 * table[c + 1, 1]
    g += q11 * table[d + 1, 1] - f
    once = q00 * table[a, 3] + q01 * table[b, 3] + q10 * table[c, 3] + q11 * table[d, 3]
    twice = q00 * table[a, 4] + q01 * table[b, 4] + q10 * table[c, 4] + q11 * table[d, 4]
    unit = step[m, 2]
    return (
        unit * (once + w * (f + 0.5 * w * g)),
        unit * unit * (twice + w * (once + w * (0.5 * f + w * g / 6.0))),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _evaluate(points, origin, step, nodes, table, out):  # type: ignore[no-untyped-def]
    for p in range(len(points)):
        place = column(points[p, 0], points[p, 1], 0, origin, step, nodes)
        w = (points[p, 2] - origin[0, 2]) / step[0, 2]
        out[p, :] = np.nan
        if place[0] and 0.0 <= w <= nodes[0, 2] - 1.0:
            b = interpolate(place, points[p, 2], 0, origin, step, nodes, table)
            out[p, 0], out[p, 1], out[p, 2] = b[0], b[1], b[2]
