from __future__ import annotations

import re

import pytest

from na64reco.errors import SelectionError
from na64reco.selection import list_selections, load_selection


def error_of(path):
    with pytest.raises(SelectionError) as caught:
        load_selection(path)
    return str(caught.value)


def test_small_selection(mini):
    assert mini.cut_names == ("trigger", "incoming track", "straw hits", "shower shape")
    assert mini.cuts[1].window == (90.0, 110.0)
    assert mini.cuts[3].max.table == (2.0, 2.0, 3.0, 4.0)
    assert mini.regions["signal"]["ecal.energy"][1].values == {"early": 50.0, "late": 47.0}
    assert mini.stages[:2] == ("none", "trigger")
    with pytest.raises(ValueError, match="frozen"):
        mini.name = "other"


@pytest.mark.parametrize(
    ("old", "new", "line", "texts"),
    [
        # keys
        ("window: [90", "windw: [90", 7, ["cuts[incoming track].windw: unknown key 'windw'. Did you mean 'window'?"]),
        ("blind: ", "blnd: ", 3, ["blnd: unknown key 'blnd'. Did you mean 'blind'?"]),
        ("bins: 11", "bin: 11", 17, ["histograms.ecal_hcal.axes[0].bin: unknown key 'bin'. Did you mean 'bins'?"]),
        ("above: 4.0", "abov: 4.0", 11, ["unknown key 'abov'. Did you mean 'above'"]),
        ("values: {early", "value: {early", 13, ["regions.signal.ecal.energy[1].value: unknown key 'value'", "the key 'values' is missing"]),
        ("setup: 2022-electron", "title: x", 1, ["(whole file): the key 'setup' is missing"]),
        ("at: [all], ", "att: [all], ", 19, ["Did you mean 'at'"]),
        # names
        ("variable: track.momentum", "variable: track.momentm", 7, ["cuts[incoming track].variable: there is no variable 'track.momentm'. Did you mean 'track.momentum'"]),
        ("{by: ecal.energy", "{by: ecal.enrgy", 11, ["cuts[shower shape].max.by: there is no variable 'ecal.enrgy'. Did you mean 'ecal.energy'"]),
        ("sideband: {ecal.energy", "sideband: {ecl.energy", 14, ["regions.sideband.ecl.energy: there is no variable 'ecl.energy'"]),
        ("variable: calo.energy", "variable: cal.energy", 19, ["histograms.sum.axes[0].variable: there is no variable 'cal.energy'. Did you mean "]),
        ("setup: 2022-electron", "setup: 2022-elektron", 2, ["setup: There is no setup '2022-elektron'. Did you mean '2022-electron'"]),
        ("blind: signal", "blind: signl", 3, ["blind: there is no region 'signl'. Did you mean 'signal'?"]),
        ("region: sideband", "region: sidebnd", 19, ["histograms.sum.region: there is no region 'sidebnd'. Did you mean 'sideband'?"]),
        ("none, trigger", "none, triger", 18, ["histograms.ecal_hcal.at[1]: there is no stage 'triger'. Did you mean 'trigger'"]),
        ("none, trigger", "none, none", 18, ["the stage 'none' is given twice"]),
        ("name: straw hits", "name: trigger", 8, ["cuts[trigger].name: a second cut of the name 'trigger'; every cut needs a name of its own"]),
        ("name: straw hits", "name: Incoming-track", 8, ["the names 'incoming track' and 'Incoming-track' both become 'incoming_track'"]),
        ("name: straw hits", "name: all", 8, ["'all' cannot be a cut's name"]),
        ("  sum:", "  a__b:", 19, ["'a__b' must be made of letters, digits and single underscores"]),
        # values
        ("window: [90, 110]", "window: [110, 90]", 7, ["cuts[incoming track]: window: the lower limit 110 lies above the upper limit 90"]),
        ("window: [90, 110]", "window: [90]", 7, ["expected a list, as [low, high]"]),
        ("window: [90, 110]", "window: 90", 7, ["expected a list, as [low, high] for two limits (found 90)"]),
        ("window: [90, 110]", "window: [90, 110], min: 3", 7, ["only one of window, min may be given"]),
        ("window: [90, 110]", "window: [9e1, 110]", 7, ["should be a valid number (found '9e1'); YAML takes 9e1 as text, write it as 90.0"]),
        ("window: [90, 110]", "window: [90, .inf]", 7, ["finite number", "for no limit use min or max in a cut"]),
        (", window: [90, 110]", "", 7, ["track.momentum is a number (GeV/c), so the cut needs one of window, min, max, equal"]),
        ("max: 5", "max: true", 8, ["should be a valid number (found True)"]),
        ("max: 5", "max: exit()", 8, ["should be a valid number (found 'exit()')"]),
        ("sideband: {ecal.energy: [50, 90]", "sideband: {ecal.energy: [95, 90]", 14, ["regions.sideband.ecal.energy: limits: the lower limit 95 lies above"]),
        ("sideband: {ecal.energy: [50, 90], hcal.energy: [null, 1.0]}", "sideband: {}", 14, ["at least one `variable: [lo, hi]`"]),
        ("edges: [0, 10, 20]", "edges: [0, 20, 10]", 11, ["the edges [0.0, 20.0, 10.0] must ascend"]),
        ("values: [2.0, 3.0]", "values: [2.0]", 11, ["3 edges make 2 bins, found 1 values"]),
        ("range: [0, 110]", "range: [110, 0]", 17, ["the first must be below the second"]),
        ("bins: 11, range: [0, 110]", "bins: 11", 17, ["either bins: N and range: [lo, hi], or edges"]),
        ("bins: 11", "bins: 0", 17, ["greater than 0 (found 0)"]),
        ("edges: [0, 50, 100, 200]", "edges: [0, 50, 50]", 19, ["must ascend"]),
        ("variable: hcal.energy, bins", "variable: ecal.energy, bins", 16, ["two axes show the same variable"]),
        # periods
        ("late: [6500, 6999]", "late: [6500, 6900]", 4, ["periods: the runs 6901 to 6999 of the setup 2022-electron (6035 to 6999) lie in no period"]),
        ("late: [6500, 6999]", "late: [6600, 6999]", 4, ["the runs 6500 to 6599 of the setup"]),
        ("early: [6035", "early: [6100", 4, ["the runs 6035 to 6099 of the setup"]),
        ("late: [6500, 6999]", "late: [6400, 6999]", 4, ["period 'late' starts at run 6400, before 'early' ends at 6499"]),
        ("late: [6500, 6999]", "late: [6499, 6999]", 4, ["period 'late' starts at run 6499, before 'early' ends at 6499"]),
        ("late: [6500, 6999]", "late: [6501, 6999]", 4, ["the runs 6500 to 6500 of the setup"]),
        ("early: [6035, 6499]", "early: [6499, 6035]", 4, ["the first run 6499 is above the last, 6035"]),
        ("late: 47", "lat: 47", 13, ["there is no period 'lat'. Did you mean 'late'", "no value for the period 'late'"]),
        ("early: 50, late: 47", "early: 50", 13, ["no value for the period 'late'"]),
        ("values: {early: 50, late: 47}", "values: 50", 13, ["a limit per period is {by: period, values: {NAME: NUMBER}}"]),
    ],
)  # fmt: skip
def test_every_mistake_gets_file_line_key_and_mend(write, mini_text, old, new, line, texts):
    assert old in mini_text
    path = write(mini_text.replace(old, new, 1))
    message = error_of(path)
    for text in texts:
        assert text in message
    assert f"{path}, line {line}, " in message


def test_all_problems_at_once(write, mini_text):
    text = mini_text.replace("track.momentum", "track.p").replace("calo.energy", "cal")
    message = error_of(write(text))
    assert "has 2 problems" in message
    assert len(re.findall(r"line \d+", message)) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("- 1\n", "must be a mapping, found list"),
        ("a: [1\nb: 2\n", "line 2: not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is given a second time (first in line 1)"),
        ("cuts:\n  - {name: x, name: y}\n", "line 2: the key 'name' is given a second time"),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1: the tag"),
        ("a: !!python/name:os.system\n", "line 1: a value that is not plain data"),
        ("a: !!python/object:os.x {b: 1}\n", "is not allowed: a selection is plain data"),
        ("a: &a [*a]\n", "too deeply nested"),
        ("? [1, 2]\n: 3\n", "a key must be a plain name"),
    ],
)
def test_files_that_are_no_selections(write, text, expected):
    assert expected in error_of(write(text))


def test_aliases_that_multiply_are_stopped(write):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "too many" in error_of(write("\n".join(lines)))


def test_not_utf8(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert f"The selection {path} cannot be read" in error_of(path)


def test_unknown_names(tmp_path):
    message = error_of("electron-invisible-2020")
    assert "There is no selection 'electron-invisible-2020'. Did you mean" in message
    assert "A path of a YAML file is taken as well." in message
    assert "There is no selection file" in error_of(tmp_path / "x.yaml")


CHILD = """\
based_on: mini
blind: null
cuts:
  - {name: straw hits, variable: straw.multiplicity, max: 9}
  - {name: trigger, remove: true}
  - {name: VETO, variable: veto.energy, max: 0.0076}
regions:
  sideband: {ecal.energy: [40, 80]}
histograms: null
"""


def test_based_on(write, mini_text):
    write(mini_text)
    child = load_selection(write(CHILD, "child.yaml"))
    assert child.name == "child"
    assert child.setup == "2022-electron"
    assert child.blind is None
    assert child.cut_names == ("incoming track", "straw hits", "shower shape", "VETO")
    assert child.cuts[1].max == 9
    assert child.regions["sideband"] == {"ecal.energy": (40, 80), "hcal.energy": (None, 1)}
    assert "signal" in child.regions
    assert child.histograms == {}


def test_problems_are_found_in_the_file_where_they_stand(write, mini_text):
    parent = write(mini_text.replace("max: 5", "mx: 5"))
    child = write(
        CHILD.replace("VETO,", "trigger two,").replace("veto.energy", "veto"), "child.yaml"
    )
    message = error_of(child)
    assert f"{child}, line 6, cuts[trigger two].variable: there is no variable 'veto'" in message
    # The parent's straw cut is replaced, so its mistake is gone; without that it is the parent's.
    child = write("based_on: mini\n", "child.yaml")
    assert f"{parent}, line 8, cuts[straw hits].mx: unknown key 'mx'" in error_of(child)


def test_mistakes_in_based_on(write, mini_text):
    write(mini_text)
    path = write("based_on: minni\n", "child.yaml")
    assert f"{path}, line 1, based_on: There is no selection 'minni'" in error_of(path)
    path = write("based_on: [mini]\n", "child.yaml")
    assert "expected the name of a selection, found ['mini']" in error_of(path)
    path = write("based_on: child\n", "child.yaml")
    assert "`based_on` goes in a circle: child -> child" in error_of(path)
    path = write("based_on: mini\ncuts:\n  - {name: strw hits, remove: true}\n", "child.yaml")
    message = error_of(path)
    assert f"{path}, line 3, cuts[strw hits]: a removal reads" in message
    assert "Did you mean 'straw hits'" in message
    twice = "based_on: mini\ncuts:\n" + "  - {name: trigger, variable: trigger.beam}\n" * 2
    message = error_of(write(twice, "child.yaml"))
    assert "line 4, cuts[trigger].name: a second cut of the name 'trigger'" in message


def test_shipped_selections():
    names = list_selections()
    for year in (2016, 2017, 2018, 2021, 2022):
        assert f"electron-invisible-{year}" in names
        assert f"electron-calibration-{year}" in names
    for name in names:
        selection = load_selection(name)
        assert selection.name == name
        assert selection.setup.split("-")[0] in name.split("-")


@pytest.mark.parametrize("year", [2016, 2017, 2018, 2021, 2022])
def test_shipped_searches_have_the_published_cuts(year):
    search = load_selection(f"electron-invisible-{year}")
    cuts = {cut.name: cut for cut in search.cuts}
    assert search.blind == "signal"
    # arXiv:2404.06982 section 4, and arXiv:2206.03101 section III for 2016-2018
    half = 10 if year > 2018 else 3
    assert cuts["incoming track"].window == (100 - half, 100 + half)
    assert cuts["SRD"].window == (0.001, 0.1)
    assert cuts["PRS"].min == 0.5
    low, high = search.regions["signal"]["ecal.energy"]
    assert low is None
    threshold = high if year <= 2018 else next(iter(high.values.values()))
    assert (threshold == 50) if year <= 2018 else (47 <= threshold <= 50)
    assert search.regions["signal"]["hcal.energy"] == (None, 1.0)


@pytest.mark.parametrize("year", [2016, 2017, 2018, 2021, 2022])
def test_calibration_has_the_cuts_of_the_search_and_hcal(year):
    search = load_selection(f"electron-invisible-{year}")
    calibration = load_selection(f"electron-calibration-{year}")
    # Only physics triggers are hidden.
    box = dict(calibration.regions["signal"])
    assert box.pop("trigger.physics") == (1, None)
    assert (calibration.blind, box) == ("signal", search.regions["signal"])
    assert calibration.cuts[0].variable == "trigger.beam"
    assert calibration.cuts[1:-1] == search.cuts[1:]
    assert (calibration.cuts[-1].variable, calibration.cuts[-1].max) == ("hcal.energy", 1.0)
    # Physics triggers fail the first cut; nothing may be filled before it.
    stages = {stage for h in calibration.histograms.values() for stage in h.at}
    assert not stages & {"none", "without trigger"}
