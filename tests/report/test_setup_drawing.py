"""Drawings of setups: everything is in them, by name, where the setup says, and legible."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.errors import DataError
from na64reco.report.setup_drawing import describe_setup, draw_setup, save_setup
from na64reco.setup import list_setups, load_setup
from na64reco.setup.parts import list_parts

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SVG = "{http://www.w3.org/2000/svg}"


def words(path):
    """Texts of an SVG that a reader sees."""
    root = ET.parse(path).getroot()
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def line_of(figure, style):
    """x [mm] as a function of z [m] of the beam that is drawn so."""
    (line,) = (
        a for a in figure.axes[0].lines if len(a.get_xdata()) > 100 and a.get_linestyle() == style
    )
    return lambda z: np.interp(z, line.get_xdata(), line.get_ydata())


@pytest.mark.parametrize("name", list_setups())
def test_every_part_is_named(name, tmp_path):
    setup = load_setup(name)
    path = tmp_path / "drawing.svg"
    save_setup(setup, path)
    found = words(path)
    expected = [part.name for part in list_parts(setup) if part.kind != "material"]
    assert len(expected) > 20
    assert set(expected) <= set(found)
    assert setup.title in found
    assert path.stat().st_size < 150_000


def test_the_same_bytes_come_out_every_time(tmp_path):
    setup = load_setup("2022-electron")
    once, again = tmp_path / "once.svg", tmp_path / "again.svg"
    save_setup(setup, once)
    save_setup(setup, again)
    assert again.read_bytes() == once.read_bytes()


@pytest.mark.parametrize("name", list_setups())
def test_the_shipped_drawing_is_that_of_the_setup(name):
    """Its words and, as its description, the place of every part."""
    path = IMAGES / f"setup_{name}.svg"
    setup = load_setup(name)
    text = path.read_text(encoding="utf-8")
    (description,) = re.findall(r"<dc:description>(.*?)</dc:description>", text, flags=re.DOTALL)
    assert description == describe_setup(setup)
    assert {part.name for part in list_parts(setup) if part.kind != "material"} <= set(words(path))
    assert "<dc:date>" not in text
    assert path.stat().st_size < 150_000


@pytest.mark.parametrize("name", ["2022-electron", "2022-muon-152"])
def test_names_do_not_overlap(name):
    figure = draw_setup(load_setup(name))
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    ax = figure.axes[0]
    upright = [t for t in ax.texts if t.get_rotation() == 90]
    boxes = sorted((t.get_window_extent(renderer).extents for t in upright), key=lambda b: b[0])
    frame = ax.get_window_extent(renderer).extents
    assert len(boxes) > 20
    assert all(a[2] <= b[0] for a, b in pairwise(boxes))
    assert all(frame[0] <= b[0] and b[2] <= frame[2] and b[3] <= frame[3] for b in boxes)
    # Nor do names hide what they name, or the legend the axis.
    assert min(b[1] for b in boxes) > ax.transData.transform((0, ax.dataLim.y1))[1]
    legend = figure.legends[0].get_window_extent(renderer).extents
    assert legend[3] < ax.xaxis.label.get_window_extent(renderer).extents[1]
    assert legend[0] > 0
    assert legend[2] < figure.bbox.x1


def test_beams_bend_as_published():
    """7 T m at 100 GeV are 21 mrad: 0.3 * 7 / 100; the muons' first 15 T m at 160 GeV 28 mrad."""
    electron = draw_setup(load_setup("2022-electron"))
    bent, straight = line_of(electron, "-"), line_of(electron, "--")
    slope = (bent(18.0) - bent(10.0)) / 8.0
    assert slope == pytest.approx(1e3 * math.tan(math.asin(0.299792458 * 7 / 100)), rel=1e-4)
    assert straight(18.0) == 0.0
    # 18 m behind the middle of the magnets an electron is 0.38 m aside: in the ECAL's beam cell.
    setup = load_setup("2022-electron")
    assert abs(bent(setup.ecal.z * 1e-3) - setup.ecal.x) < setup.ecal.cell_x / 2

    muon = draw_setup(load_setup("2022-muon-152"))
    bent, without = line_of(muon, "-"), line_of(muon, ":")
    slope = (without(24.0) - without(18.0)) / 6.0
    assert slope == pytest.approx(1e3 * math.tan(math.asin(0.299792458 * 15 / 160)), rel=1e-4)
    # MS2 bends the other way, as its field is the other way: 1.4 T m are 2.6 mrad.
    back = (bent(24.0) - bent(18.0)) / 6.0 - slope
    assert back == pytest.approx(-1e3 * 0.299792458 * 1.4 / 160, rel=2e-3)


def test_the_direction_of_a_field_is_drawn():
    texts = [t.get_text() for t in draw_setup(load_setup("2022-muon-152")).legends[0].get_texts()]
    assert "field upwards, to the viewer" in texts
    assert "field downwards" in texts
    texts = [t.get_text() for t in draw_setup(load_setup("2022-electron")).legends[0].get_texts()]
    assert "field downwards" not in texts


def test_a_users_setup_is_drawn(tmp_path):
    """Without SRD and VETO, a magnet off, a name that LaTeX would trip over."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "based_on: 2022-electron\ntitle: costs $5 & more\nsrd: null\nveto: null\n"
        "magnets: {MBPL1: {field: 0.0}}\nstations: {ST4: null, my_plane: "
        "{technology: gem, number: 7, z: 17000.0, x: 300.0, angles: {X: 0.0}, channels: 256, "
        "pitch: 0.4, thickness_x0: 0.004}}\n",
        encoding="utf-8",
    )
    picture = tmp_path / "mine.svg"
    save_setup(load_setup(path), picture)
    found = words(picture)
    assert "my_plane" in found
    assert "costs $5 & more" in found
    assert not {"SRD", "VETO", "ST4"} & set(found)


def test_the_command(tmp_path):
    def call(*args):
        return CliRunner().invoke(app, ["setups", *map(str, args)])

    path = tmp_path / "beam_line.png"
    done = call("2022-electron", "--draw", path)
    assert done.exit_code == 0, done.output
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "choose another name or give --overwrite" in call("2022-electron", "--draw", path).output
    assert call("2022-electron", "--draw", path, "--overwrite").exit_code == 0
    done = call("2022-electron", "--draw", tmp_path / "x.gif")
    assert done.exit_code == 1
    assert "ends in .svg, .png, .pdf" in done.output
    assert call("--draw", path).exit_code == 2
    done = call("2022-elektron", "--draw", path)
    assert "Did you mean '2022-electron'" in done.output
    with pytest.raises(DataError, match="ends in"):
        save_setup(load_setup("2022-electron"), "x")


def test_the_parts_of_one_setup_are_listed():
    done = CliRunner().invoke(app, ["setups", "2022-electron"])
    rows = [line for line in done.stdout.splitlines() if "MBPL1" in line]
    assert len(rows) == 1
    assert "1.75 T over 2 m" in rows[0]
    done = CliRunner().invoke(app, ["setups", "2022-electron", "--json"])
    (content,) = json.loads(done.stdout)
    z = [part["z"] for part in content["parts"]]
    assert z == sorted(z)
    # The beam meets the middle of every detector that stands on it: all but the SRD, to its side,
    # the HCAL module at zero degrees, and the magnets, in which it starts to bend.
    for part in content["parts"]:
        on_beam = abs(part["x"] - part["beam_x"]) < 1.0
        assert on_beam == (part["name"] not in {"SRD", "HCAL module3", "MBPL1", "MBPL2"}), part
    # 40 X0 in all, of which 16 of 150 layers are the preshower: 4.3 X0.
    depth = {part["name"]: part["thickness_x0"] for part in content["parts"]}
    assert depth["ECAL prs"] + depth["ECAL main"] == pytest.approx(40.0)
    assert depth["ECAL prs"] == pytest.approx(4.0, abs=0.3)
