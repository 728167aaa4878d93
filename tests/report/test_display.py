"""The event display shows what the reconstruction found, and nothing that is blinded."""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
from html import unescape
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from na64reco.constants import BEND_PER_TESLA_MM
from na64reco.errors import DataError, SelectionError
from na64reco.events import open_events
from na64reco.processors import run
from na64reco.reconstruction import reconstruct_columns
from na64reco.report.display import Wish, views_of
from na64reco.report.display_choice import parse_where
from na64reco.report.display_event import follow, view_event
from na64reco.report.display_page import write_display_page
from na64reco.report.display_picture import draw_event, save_event
from na64reco.setup import load_setup

SAMPLES = Path(__file__).parents[2] / "data_samples"
SETUP = load_setup("2022-electron")


@pytest.fixture(scope="module")
def electron():
    path = SAMPLES / "calibration.root"
    events = open_events(path, entry_start=3, entry_stop=4)
    return view_event(events, SETUP, source=str(path))


@pytest.fixture(scope="module")
def figure(electron):
    return draw_event(electron)


def texts(figure):
    found = [t.get_text() for t in figure.texts]
    for ax in figure.axes:
        found += [t.get_text() for t in ax.texts]
        found += [ax.get_title(), ax.get_title(loc="left"), ax.get_xlabel()]
    return found


def test_tracks_and_energies_are_those_of_the_reconstruction(electron):
    events = open_events(SAMPLES / "calibration.root", entry_start=3, entry_stop=4)
    known = {n: v[0] for n, v in reconstruct_columns(events, SETUP).items()}
    (track,) = electron.tracks
    assert track.momentum == pytest.approx(known["track.momentum"], rel=1e-6)
    assert (track.charge, track.ndf) == (known["track.charge"], known["track.ndf"])
    assert np.count_nonzero(electron.strips.used) == known["track.hits"]
    in_time = electron.cells["ecal"][0]
    assert in_time.sum() == pytest.approx(known["ecal.energy"] - known["ecal.hidden"], rel=1e-5)
    assert in_time[0].sum() == pytest.approx(known["prs.energy"], rel=1e-5)
    assert electron.channels["SRD"].in_time.sum() == pytest.approx(known["srd.energy"], rel=1e-5)
    # The path starts from what is known at the first plane: scattering moves the end a little.
    assert track.z[-1] == pytest.approx(SETUP.ecal.z)
    assert track.x[-1] - SETUP.ecal.x == pytest.approx(known["track.x_ecal"], abs=1.0)
    assert track.y[-1] - SETUP.ecal.y == pytest.approx(known["track.y_ecal"], abs=1.0)
    # Clusters on the track lie on its path.
    points = electron.strips
    x, y = (np.interp(points.z, track.z, v) for v in (track.x, track.y))
    off = points.u - (x * points.cos + y * points.sin)
    assert np.abs(off[points.used]).max() < 0.6


def test_a_path_bends_as_a_circle_in_the_field():
    """One magnet: displacement and slope behind it are those of a circle of radius p / (0.3 B)."""
    magnet = SETUP.magnets["MBPL1"]
    one = SETUP.model_copy(update={"magnets": {"M": magnet}})
    p = 50.0
    state = np.array([0.0, 0.0, 0.0, 0.0, -1 / p])
    z, x, y = follow(state, magnet.start - 100, magnet.end, one)
    radius = p / (BEND_PER_TESLA_MM * magnet.field)
    assert z[-1] == magnet.end
    expected = radius - math.sqrt(radius**2 - magnet.length**2)
    assert x[-1] == pytest.approx(expected, rel=1e-4)
    assert np.all(y == 0)


def test_the_picture_says_what_is_in_it(electron, figure):
    found = " ".join(texts(figure))
    for word in ("run 6101, event 4", "MBPL1", "GEM2", "ECAL main", "HCAL module3", "from above"):
        assert word in found
    assert f"{electron.columns['ecal.energy']:.2f} GeV" in found
    assert f"{electron.cells['ecal'][0].max():.1f}" in found  # in its cell


def test_it_is_written_by_the_names_ending(electron, tmp_path):
    path = tmp_path / "event.PDF"
    save_event(electron, path)
    assert path.read_bytes().startswith(b"%PDF")


def test_names_do_not_overlap(figure):
    renderer = figure.canvas.get_renderer()
    top = figure.axes[0]
    boxes = sorted((t.get_window_extent(renderer).extents for t in top.texts), key=lambda b: b[0])
    frame = top.get_window_extent(renderer).extents
    assert len(boxes) > 15
    assert all(a[2] <= b[0] + 1 for a, b in pairwise(boxes))
    assert all(b[3] <= frame[3] and b[2] <= frame[2] for b in boxes)


def test_events_by_run_and_number_and_by_entry():
    path = SAMPLES / "calibration.root"
    (one,) = views_of(Wish(path, event="6101:4", setup="2022-electron"))
    (two,) = views_of(Wish(path, event="3", setup="2022-electron"))
    assert one.label == two.label == "6101:4"
    for event, message in (
        ("6101:999999", "has no event 999999 of run 6101"),
        ("4711", "counted from 0; there is no entry 4711"),
    ):
        with pytest.raises(DataError, match=message):
            views_of(Wish(path, event=event, setup="2022-electron"))
    with pytest.raises(SelectionError, match="neither RUN:EVENT nor the number"):
        views_of(Wish(path, event="a:b", setup="2022-electron"))
    # A simulated file says of which setup it is; others' do not.
    (named,) = views_of(Wish(path, event="3"))
    assert named.label == "6101:4"
    foreign = {"event": "3", "mapping": SAMPLES / "foreign_mapping.yaml"}
    with pytest.raises(SelectionError, match="which detector is it"):
        views_of(Wish(SAMPLES / "foreign.root", **foreign))
    with pytest.raises(SelectionError, match="Say which events"):
        views_of(Wish(path, setup="2022-electron"))


def test_blinded_events_of_data_are_not_shown():
    path = SAMPLES / "physics.root"
    columns = reconstruct_columns(
        open_events(path), SETUP, columns=("run", "event", "ecal.energy", "hcal.energy")
    )
    box = (columns["ecal.energy"] < 47) & (columns["hcal.energy"] < 1)
    inside = columns["event"][box]
    assert len(inside) > 10
    for event in inside[:3]:
        with pytest.raises(DataError, match="that may be shown"):
            views_of(Wish(path, event=f"6100:{event}", setup="2022-electron"))
    with pytest.raises(DataError, match="that may be shown"):
        views_of(Wish(path, where="ecal.energy < 46 and hcal.energy < 0.9", setup="2022-electron"))
    outside = int(columns["event"][~box][0])
    (view,) = views_of(Wish(path, event=f"6100:{outside}", setup="2022-electron"))
    assert view.label == f"6100:{outside}"
    # Simulated events of the same kind are.
    (view,) = views_of(
        Wish(SAMPLES / "signal.root", where="ecal.energy < 40", setup="2022-electron", most=1)
    )
    assert view.columns["ecal.energy"] < 40


def test_data_of_an_unknown_setup_need_a_selection(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("title: mine\nbased_on: 2022-electron\nruns: [6035, 6999]\n")
    wish = Wish(SAMPLES / "physics.root", event="0", setup=str(path))
    with pytest.raises(SelectionError, match="name the selection of the analysis with --selection"):
        views_of(wish)


def test_events_of_a_skim(tmp_path):
    copy = shutil.copy(SAMPLES / "signal.root", tmp_path)
    run("electron-invisible-2022", {"signal": [copy]}, tmp_path / "out")
    views = views_of(Wish(tmp_path / "out", where="region == signal and ecal.energy > 20", most=2))
    assert len(views) == 2
    for view in views:
        assert 20 < view.columns["ecal.energy"] < 47
    with pytest.raises(SelectionError, match=r"no region 'sgnal'.*Did you mean 'signal'"):
        views_of(Wish(tmp_path / "out", where="region == sgnal"))
    (again,) = views_of(Wish(tmp_path / "out", event=views[0].label))
    assert again.label == views[0].label
    check_page(views, tmp_path)
    with Path(copy).open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="is not the file any more"):
        views_of(Wish(tmp_path / "out", where="region == signal", most=2))


def check_page(views, folder):
    path = folder / "events.html"
    write_display_page(views, path)
    text = path.read_text()
    found = re.findall(r'src="([^"]*)"', text)
    assert len(found) == 2
    for source in found:
        head, _, content = source.partition(";base64,")
        assert head == "data:image/svg+xml"
        assert base64.b64decode(content).startswith(b"<?xml")
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", text)


PROBE = """
<script>addEventListener("load", () => {
  const frame = document.getElementById("frame");
  const images = [...frame.querySelectorAll("img")];
  const state = () => [images.findIndex((i) => !i.hidden), document.getElementById("which").value,
    images.find((i) => !i.hidden).style.transform];
  const found = {decoded: images.map((i) => i.complete && i.naturalWidth > 100),
    page: document.documentElement.scrollWidth <= innerWidth, states: [state()]};
  const press = (key) => dispatchEvent(new KeyboardEvent("keydown", {key}));
  const box = frame.getBoundingClientRect();
  const point = (type, id, x, y) => frame.dispatchEvent(new PointerEvent(type,
    {pointerId: id, clientX: box.left + x, clientY: box.top + y}));
  frame.setPointerCapture = () => {};  // there is no pointer
  for (const step of [
    () => document.getElementById("next").click(),
    () => press("ArrowRight"),
    () => press("ArrowLeft"),
    () => frame.dispatchEvent(new WheelEvent("wheel",
      {deltaY: -400 * Math.log(2), clientX: box.left + 100, clientY: box.top + 50})),
    () => { point("pointerdown", 1, 10, 10); point("pointermove", 1, 40, 30); },
    () => { point("pointerup", 1, 40, 30); point("pointermove", 1, 90, 90); },
    () => press("0"),
    () => { point("pointerdown", 1, 0, 0); point("pointerdown", 2, 100, 0);
      point("pointermove", 2, 200, 0); },
    () => document.getElementById("whole").click(),
  ]) { step(); found.states.push(state()); }
  document.title = JSON.stringify(found);
});</script></body>"""


def test_the_page_steps_and_zooms_in_a_browser(electron, chromium, tmp_path):
    """Buttons, keys, wheel, one finger and two; nothing is logged."""
    path = tmp_path / "events.html"
    write_display_page([electron, electron], path)
    path.write_text(path.read_text().replace("</body>", PROBE))
    dom, log = chromium(path)
    assert "CONSOLE" not in log
    found = json.loads(unescape(re.search(r"<title>(.*?)</title>", dom, re.DOTALL)[1]))
    assert found["decoded"] == [True, True]
    assert found["page"]
    expected = [
        (0, "0", []),
        (1, "1", [0, 0, 1]),
        (0, "0", [0, 0, 1]),  # round and round
        (1, "1", [0, 0, 1]),
        (1, "1", [-100, -50, 2]),  # (100, 50) stays where it is
        (1, "1", [-70, -30, 2]),
        (1, "1", [-70, -30, 2]),  # let go
        (1, "1", [0, 0, 1]),
        (1, "1", [-100, 0, 2]),  # twice as far apart, around their middle
        (1, "1", [0, 0, 1]),
    ]
    for (index, chosen, text), (number, value, place) in zip(
        found["states"], expected, strict=True
    ):
        assert (index, chosen) == (number, value)
        # The browser takes whole pixels of the window, where the frame does not begin with one.
        numbers = [float(v) for v in re.findall(r"-?[\d.]+(?:e-?\d+)?", text)]
        assert numbers[:2] == pytest.approx(place[:2], abs=2), text
        assert numbers[2:] == pytest.approx(place[2:]), text


def test_conditions_are_parsed_not_evaluated():
    found = parse_where("region != hadrons and ecal.energy >= 1e1 and track.found == true")
    assert [(c.column, c.operator, c.value) for c in found] == [
        ("region", "!=", "hadrons"), ("ecal.energy", ">=", 10.0), ("track.found", "==", 1.0),
    ]  # fmt: skip
    for text, message in (
        ("__import__('os')", "is not COLUMN OPERATOR VALUE"),
        ("ecal.energy < 1 or true", "is not COLUMN OPERATOR VALUE"),
        ("ecal.energy < x", "'x' in 'ecal.energy < x' is not a number"),
        ("region < signal", "region is a name"),
        ("", "is not COLUMN OPERATOR VALUE"),
    ):
        with pytest.raises(SelectionError, match=re.escape(message)):
            parse_where(text)


def test_a_muon_event_with_both_spectrometers(tmp_path):
    from na64reco.simulation import write_simulation

    path = tmp_path / "muon.root"
    setup = load_setup("2022-muon-152")
    write_simulation(path, setup, "muon", 12, seed=3, trigger="beam")
    views = views_of(Wish(path, where="track_out.found == true", setup=setup.name, most=3))
    view = next(v for v in views if len(v.tracks) == 2)
    assert [t.spectrometer for t in view.tracks] == ["MS1", "MS2"]
    assert view.tracks[1].momentum == pytest.approx(view.columns["track_out.momentum"], rel=1e-6)
    bms = [s.z for s in setup.stations_of("bms").values()]
    assert set(bms) & set(view.strips.z.tolist())
    found = " ".join(texts(draw_event(view)))
    assert "VHCAL" in found
    assert "BMS1" in found
    assert "track MS2" in found
