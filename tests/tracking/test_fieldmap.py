"""Field maps: what was written comes back, in between it is trilinear, and errors name the place."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from na64reco.errors import SetupError
from na64reco.setup.spectrometer import Magnet
from na64reco.tracking.field import dipoles, magnet_field
from na64reco.tracking.fieldmap import load_field_map

HEADER = "x[mm] y[mm] z[mm] Bx[T] By[T] Bz[T]\n"


def _grid(nx=4, ny=3, nz=6, seed=2):
    axes = [-30 + 20.0 * np.arange(nx), -5 + 5.0 * np.arange(ny), -100 + 40.0 * np.arange(nz)]
    return axes, np.random.default_rng(seed).normal(size=(nx, ny, nz, 3))


def _text(path, axes, values, header=HEADER, order=None, factors=(1,) * 6):
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    rows = np.concatenate([points, values.reshape(-1, 3)], axis=1) * np.array(factors)
    rows = rows if order is None else rows[order]
    path.write_text(
        "# a map\n" + header + "\n".join(" ".join(f"{v:.17g}" for v in r) for r in rows)
    )
    return str(path)


def _points(axes, n=500):
    r = np.random.default_rng(3)
    return np.stack([r.uniform(a[0], a[-1], n) for a in axes], axis=1)


def test_text_is_interpolated_as_scipy_does(tmp_path):
    axes, values = _grid()
    order = np.random.default_rng(1).permutation(
        values.shape[0] * values.shape[1] * values.shape[2]
    )
    field = load_field_map(_text(tmp_path / "a.txt", axes, values, order=order))
    points = _points(axes)
    np.testing.assert_allclose(
        field(points), RegularGridInterpolator(axes, values)(points), atol=1e-13
    )
    np.testing.assert_allclose(field.end, [30, 5, 100])
    assert np.isnan(field([[31, 0, 0], [0, 0, 101.0]])).all()


def test_units_and_order_of_columns_come_from_the_header(tmp_path):
    axes, values = _grid()
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    b = values.reshape(-1, 3)
    path = tmp_path / "b.csv"
    rows = np.stack(
        [
            b[:, 1] * 1e4,
            b[:, 0] * 1e3,
            b[:, 2] * 10,
            points[:, 2] / 1e3,
            points[:, 0] / 10,
            points[:, 1],
        ],
        1,
    )
    path.write_text(
        "# By (G), Bx (mT), Bz (kG), z (m), x (cm), y (mm)\n"
        + "\n".join(",".join(f"{v:.17g}" for v in r) for r in rows)
    )
    field = load_field_map(str(path))
    np.testing.assert_allclose(field.values, values, rtol=1e-12)
    np.testing.assert_allclose(field.origin, [a[0] for a in axes], rtol=1e-12)


def _root(path, axes, values, unit="mm", names=("Bx", "By", "Bz"), titles=None):
    import hist
    import uproot

    with uproot.recreate(path) as file:
        for i, name in enumerate(names):
            edges = [
                np.linspace(a[0] - (a[1] - a[0]) / 2, a[-1] + (a[1] - a[0]) / 2, len(a) + 1)
                for a in axes
            ]
            h = hist.Hist(
                *(
                    hist.axis.Variable(e, label=f"{n} [{unit}]")
                    for e, n in zip(edges, "xyz", strict=True)
                )
            )
            h.values()[...] = values[..., i]
            h.title = (titles or "{} [T]").format(name)
            file[name] = h
    return str(path)


def test_root_histograms_hold_the_field_at_their_bins_centres(tmp_path):
    axes, values = _grid()
    field = load_field_map(_root(tmp_path / "a.root", axes, values))
    np.testing.assert_allclose(field.values, values, rtol=1e-12)
    np.testing.assert_allclose(field.origin, [a[0] for a in axes])
    np.testing.assert_allclose(field.step, [20, 5, 40])


def test_errors_of_root_files(tmp_path):
    axes, values = _grid()
    with pytest.raises(SetupError, match=r"axis x of Bx has the unknown unit 'inch'; write it as"):
        load_field_map(_root(tmp_path / "b.root", axes, values, unit="inch"))
    with pytest.raises(SetupError, match=r"By has no unit|Bx has no unit"):
        load_field_map(_root(tmp_path / "c.root", axes, values, titles="{}"))
    with pytest.raises(SetupError, match=r"no histogram Bz; expected three TH3 Bx, By, Bz"):
        load_field_map(_root(tmp_path / "d.root", axes, values, names=("Bx", "By", "Bq")))
    (tmp_path / "e.root").write_bytes(b"nothing")
    with pytest.raises(SetupError, match="not readable as a ROOT file"):
        load_field_map(str(tmp_path / "e.root"))


@pytest.mark.parametrize(
    ("header", "change", "message"),
    [
        ("x[mm] y[mm] z[mm] Bx[T] By[T]\n", None, r"line 2: columns x, y, z, bx, by; expected"),
        ("x y z Bx By Bz\n", None, "no header that names columns and units"),
        ("x[mm] y[mm] z[furlong] Bx[T] By[T] Bz[T]\n", None, r"z has the unknown unit 'furlong'"),
        (HEADER, "drop", "71 nodes, but 4 x 3 x 6 different x, y, z make a grid of 72"),
        (HEADER, "move", r"irregular grid: z goes from"),
        (HEADER, "nan", "node number 1 is not finite"),
        (HEADER, "word", "line 3: expected six numbers, found 'abc"),
        (HEADER, "twice", r"the node at \[.*\] mm is there more than once"),
    ],
)  # fmt: skip
def test_errors_of_text_files(tmp_path, header, change, message):
    axes, values = _grid()
    if change == "move":
        axes[2][3] += 5.0
    path = tmp_path / "c.txt"
    _text(path, axes, values, header)
    lines = path.read_text().splitlines()
    if change == "drop":
        del lines[10]
    elif change == "nan":
        lines[2] = "nan " + lines[2].split(" ", 1)[1]
    elif change == "word":
        lines[2] = "abc " + lines[2]
    elif change == "twice":
        lines[10] = lines[11]
    path.write_text("\n".join(lines))
    with pytest.raises(SetupError, match=message):
        load_field_map(str(path))


def test_a_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(SetupError, match=r"There is no field map nowhere\.txt \(a relative path"):
        load_field_map("nowhere.txt")


def test_a_map_in_other_units_than_its_magnet_is_found_out(tmp_path):
    axes, values = _grid()
    values[...] = (0, 1.0, 0)
    path = _text(tmp_path / "d.txt", axes, values)
    magnet = Magnet(z=0, length=200, field=1.0, gap_x=1, gap_y=1, map=path)
    assert dipoles([magnet]).field == pytest.approx([1.0])
    assert dipoles([magnet.model_copy(update={"scale": 1.1})]).field == pytest.approx([1.1])
    with pytest.raises(
        SetupError, match=r"integral of By along the axis is 2000 T mm with scale 10"
    ):
        magnet_field([magnet.model_copy(update={"scale": 10.0})])


def test_magnets_are_checked():
    good = {"z": 0, "length": 200, "field": 1.0, "gap_x": 1, "gap_y": 1}
    with pytest.raises(ValueError, match="is longer than the magnet"):
        Magnet(**good, ramp=300)
    with pytest.raises(ValueError, match=r"either a map .* or a ramp"):
        Magnet(**good, ramp=30, map="a.txt")
    with pytest.raises(ValueError, match=r"scale 2\.0 without a map"):
        Magnet(**good, scale=2)
