"""Figures of limits: what is drawn is what was handed over, and formulas where they are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.darksector.generic import load_model
from na64reco.errors import FileFormatError, InferenceError, ModelError
from na64reco.inference.limits import CouplingLimits
from na64reco.report.limits import (
    Overlay,
    coupling_plane,
    draw_limits,
    mixing_plane,
    read_overlay,
    relic_plane,
)

MASS = np.array([0.03, 0.1, 0.12])


def curve(coupling, *, upper=np.inf, projection=False):
    g = np.asarray(coupling, dtype=float)
    bands = np.array([0.7, 0.8, 1.0, 1.2, 1.5])[:, None] * g
    one = np.ones((1, len(g)))
    return CouplingLimits(
        MASS, g, np.full(len(g), upper), bands, 2.3 * one[0], 2.3 * one, 0 * one, g,
        np.ones(len(g), dtype=np.int64), projection,
    )  # fmt: skip


def lines(figure):
    return {line.get_label(): line for line in figure.axes[0].lines}


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_curves_are_drawn_in_mev():
    curves = {"now": curve([1e-4, 2e-4, 3e-4]), "then": curve([1e-5] * 3, projection=True)}
    other = Overlay("theirs", MASS, 2 * MASS, points=True)
    figure = coupling_plane(load_model("lmutau-vanilla"), curves, overlays=[other])
    found = lines(figure)
    np.testing.assert_allclose(found["now"].get_xdata(), [30, 100, 120])
    np.testing.assert_allclose(found["now"].get_ydata(), [1e-4, 2e-4, 3e-4])
    assert found["now"].get_linestyle() == "-"
    assert found["then"].get_linestyle() == "--"
    np.testing.assert_allclose(found["theirs"].get_ydata(), 2 * MASS)
    colours = {found[name].get_color() for name in ("now", "then", "theirs")}
    assert len(colours) == 3
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("$m$ [MeV]", "$g$")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert any("g-2" in text for text in labels(figure))


def test_the_band_of_the_magnetic_moment():
    """arXiv:2404.06982: g = 4.5e-4 explains the discrepancy for light bosons."""
    light = curve([1e-4] * 3)
    object.__setattr__(light, "mass", MASS / 1e3)
    figure = coupling_plane(load_model("lmutau-vanilla"), {"one": light}, cosmology=True)
    band = next(c for c in figure.axes[0].collections if "g-2" in str(c.get_label()))
    y = band.get_paths()[0].vertices[:, 1]
    assert y.min() < 4.5e-4 < y.max()
    # 249e-11 +- 2 x 48e-11, of which g is the root.
    assert y.max() / y.min() == pytest.approx(
        ((249 + 2 * 48.3) / (249 - 2 * 48.3)) ** 0.5, rel=0.01
    )
    assert any("N_" in text for text in labels(figure))


def test_a_single_curve_has_its_bands():
    figure = mixing_plane(load_model("dark-photon"), {"one": curve([1e-4, 2e-4, 3e-4])})
    assert figure.axes[0].get_ylabel() == r"$\epsilon$"
    assert any("1" in text and "expected" in text for text in labels(figure))
    assert not any("g-2" in text for text in labels(figure))
    band = next(c for c in figure.axes[0].collections if "1" in str(c.get_label()))
    y = band.get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([y.min(), y.max()], [0.8e-4, 1.2 * 3e-4])


def test_where_nothing_is_excluded_nothing_is_drawn():
    figure = coupling_plane(load_model("lmutau-vanilla"), {"one": curve([1e-4, 2e-4, np.inf])})
    np.testing.assert_allclose(lines(figure)["one"].get_xdata(), [30, 100])


def test_an_upper_edge_is_dotted():
    figure = coupling_plane(load_model("lmutau-vanilla"), {"one": curve([1e-4] * 3, upper=0.1)})
    dotted = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(dotted[0].get_ydata(), 0.1)


def test_y_of_chi():
    """m = 3 m_chi: y = (g_chi g)^2 / 81; the target of pseudo-Dirac chi is far below a scalar's."""
    model = load_model("lmutau-dark", alpha=0.05**2 / (4 * np.pi))
    narrow, mass = curve([6e-4] * 3), np.array([0.1, 0.11, 0.12])
    object.__setattr__(narrow, "mass", mass)
    other = Overlay("theirs", mass, np.full(3, 1e-3))
    kinds = ("scalar", "pseudo-dirac")
    figure = relic_plane(model, {"one": narrow}, overlays=[other], kinds=kinds)
    found = lines(figure)
    np.testing.assert_allclose(found["one"].get_xdata(), [100 / 3, 110 / 3, 40])
    np.testing.assert_allclose(found["one"].get_ydata(), (0.05 * 6e-4) ** 2 / 81)
    np.testing.assert_allclose(found["theirs"].get_ydata(), (0.05 * 1e-3) ** 2 / 81)
    scalar, dirac = (found[f"thermal target, {k}"].get_ydata() for k in kinds)
    assert np.all(dirac < scalar / 5)
    # arXiv:2401.01708, Fig. 4: at 40 MeV the pseudo-Dirac target is near the limit of 6e-12.
    assert 6e-12 < dirac[-1] < 2e-11
    assert figure.axes[0].get_xlabel() == r"$m_\chi$ [MeV]"
    with pytest.raises(ModelError, match="no dark sector"):
        relic_plane(load_model("lmutau-vanilla"), {"one": curve([6e-4] * 3)})


@pytest.mark.parametrize("name", ["limit.png", "limit.pdf", "limit.svg"])
def test_files(tmp_path, name):
    draw_limits(tmp_path / name, load_model("dark-photon"), {"one": curve([1e-4] * 3)})
    assert (tmp_path / name).stat().st_size > 5000


def test_nothing_to_draw():
    with pytest.raises(InferenceError, match="at least one curve"):
        coupling_plane(load_model("b-l"), {})


def test_a_single_mass_is_a_point(tmp_path):
    one = curve([1e-4, np.inf, np.inf])
    for name, cut in (("mass", MASS[:1]), ("coupling", one.coupling[:1]), ("upper", [np.inf])):
        object.__setattr__(one, name, np.asarray(cut))
    object.__setattr__(one, "bands", one.bands[:, :1])
    figure = mixing_plane(load_model("dark-photon"), {"one": one})
    assert lines(figure)["one"].get_marker() == "o"
    low, high = figure.axes[0].get_xlim()
    assert low < 30 < high
    nothing = curve([np.inf] * 3)
    with pytest.raises(InferenceError, match="nothing to draw: theirs excludes no coupling"):
        draw_limits(tmp_path / "x.png", load_model("b-l"), {"theirs": nothing})


def test_the_band_is_that_of_the_models_coupling():
    """Dark photons couple to muons with e epsilon."""
    tops = []
    for name in ("lmutau-vanilla", "dark-photon"):
        figure = coupling_plane(load_model(name), {"one": curve([1e-4] * 3)})
        band = next(c for c in figure.axes[0].collections if "g-2" in str(c.get_label()))
        tops.append(band.get_paths()[0].vertices[:, 1].max())
    assert tops[1] / tops[0] == pytest.approx((4 * np.pi / 137.036) ** -0.5, rel=1e-4)


def test_overlays(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text("# read off\nmass_MeV,g,remark\n100,2e-3,x\n10,1e-3,y\n")
    found = read_overlay(path)
    assert found.title == "theirs"
    np.testing.assert_allclose(found.mass, [0.01, 0.1])
    np.testing.assert_allclose(found.coupling, [1e-3, 2e-3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no points"),
        ("1,2\n3;4\n", "line 2: expected mass in MeV and coupling, found '3;4'"),
        ("m,g\n1,2\nx,1\n", "line 3"),
        ("1,-2\n", "line 1"),
        ("m,g\nn,h\n", "line 2"),
    ],
)
def test_overlays_that_are_none(tmp_path, text, message):
    path = tmp_path / "theirs.csv"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message):
        read_overlay(path)
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_overlay(tmp_path / "none.csv")
