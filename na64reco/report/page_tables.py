"""Tables of the report: what ran, cutflow, efficiency, exposure, background, comparison, files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from na64reco.report.page_cuts import cut_text
from na64reco.report.page_html import Html, definitions, note, paragraph, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from na64reco.inference.comparison import Comparison
    from na64reco.inference.measurement import Measurement
    from na64reco.processors import DatasetReport
    from na64reco.report.page_input import RunFolder

__all__ = [
    "background_blocks",
    "comparison_blocks",
    "cutflow_blocks",
    "efficiency_blocks",
    "exposure_blocks",
    "input_blocks",
    "limit_blocks",
    "overview_blocks",
]

_MINUS = "\N{EN DASH}"
_PM = "\N{PLUS-MINUS SIGN}"


def _count(value: float | None) -> str:
    """A number of events; thin spaces between groups of three."""
    if value is None:
        return _MINUS
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}")


def _percent(value: float | None) -> str:
    return _MINUS if value is None else f"{100 * value:.2f}"


def _measured(found: Measurement | None, factor: float = 1.0, digits: int = 4) -> str:
    if found is None:
        return _MINUS
    text = f"{factor * found.value:.{digits}g} {_PM} {factor * found.statistical:.2g}"
    return text + (f" {_PM} {factor * found.systematic:.2g}" if found.systematic else "")


def _recorded(dataset: DatasetReport) -> str:
    """Events; of a blinded dataset those outside the box, lest the difference tell what is in."""
    if dataset.blinded is not None:
        return f"{_count(dataset.cutflow.entered)} + hidden"
    return _count(dataset.events)


def _read(folder: RunFolder) -> str:
    """How much was read; no sum in which there are hidden events."""
    events: Any = folder.record["events"]
    if folder.blinded is None:
        return f"{_count(events['read'])} of {_count(events['in_files'])} read"
    if events["in_files"] is None:  # of a file that could not be opened nobody knows
        return "those of all good files read"
    if events["read"] == events["in_files"]:
        return "all read"
    return f"{100 * events['read'] / max(events['in_files'], 1):.3g} % read"


def overview_blocks(folder: RunFolder) -> list[Html]:
    """Selection, setup, when, how many events, and the datasets."""
    record: Any = folder.record
    files = record["files"]
    used = record["conditions"]["used"]
    runs = sorted({run for u in used for run in u["runs"]})
    options = record["options"]
    pairs: list[tuple[str, Any]] = [
        ("Selection", f"{folder.selection.name} (sha256 {record['selection']['sha256'][:12]})"),
        ("Setup", f"{record['setup']['name']} (sha256 {record['setup']['sha256'][:12]})"),
        ("Folder", str(folder.path)),
        (
            "Files",
            f"{files['read']} of {files['given']} read"
            + (f", {files['skipped']} skipped" if files["skipped"] else ""),
        ),
        (
            "Events",
            f"{_read(folder)} in {record['seconds']:.1f} s ({options['executor']})",
        ),
        ("Runs", _runs(runs)),
        (
            "Conditions",
            f"{len(used)} version{'s' if len(used) != 1 else ''}"
            + (", the nearest where none cover a run" if record["conditions"]["nearest"] else ""),
        ),
    ]
    skipped = [f for f in record["inputs"] if f["status"] == "skipped"]
    blocks = [definitions(pairs)]
    blocks += [note(f"Skipped: {f['path']}: {f['reason']}") for f in skipped]
    rows = [
        (
            d.name,
            _kind(d),
            _recorded(d),
            _count(d.cutflow.selected) + (" + hidden" if d.blinded is not None else ""),
            *(("hidden" if n is None else _count(n)) for _, n in d.cutflow.regions),
        )
        for d in folder.datasets
    ]
    header = ["dataset", "kind", "events", "pass all cuts", *folder.selection.regions]
    blocks.append(table(header, rows, text_columns=2))
    return blocks


def _kind(dataset: DatasetReport) -> str:
    if dataset.simulated is None:
        return "nothing read"
    return "simulation" if dataset.simulated else "data"


def _runs(runs: Sequence[int]) -> str:
    """Runs with those that follow each other joined.

    >>> _runs([1, 2, 3, 7])
    '1\u20133, 7'
    """
    parts: list[list[int]] = []
    for run in runs:
        if parts and run == parts[-1][1] + 1:
            parts[-1][1] = run
        else:
            parts.append([run, run])
    return ", ".join(str(a) if a == b else f"{a}{_MINUS}{b}" for a, b in parts) or _MINUS


def cutflow_blocks(folder: RunFolder) -> list[Html]:
    """One table per dataset."""
    cuts = {c.name: cut_text(c) for c in folder.selection.cuts}
    columns = ["cut", "requires", "passed", "of those before, %", "of all, %", "of all others, %"]
    blocks = []
    for dataset in folder.datasets:
        flow = dataset.cutflow
        # Cuts that were applied one after the other do not know what passes all others.
        kinds = [flow.rows(), flow.cumulative_rows(), flow.n_minus_1_rows()]
        kinds = kinds[:2] if flow.is_sequential else kinds
        header = columns[: 3 + len(kinds)]
        rows = [
            (one["cut"], cuts[one["cut"]], _count(one["passed"]), *map(_interval, (one, *more)))
            for one, *more in zip(*kinds, strict=True)
        ]
        caption = f"{dataset.name} ({_kind(dataset)}), {_count(flow.entered)} events"
        if dataset.blinded is not None:
            caption += ", blinded ones left out"
        if flow.is_sequential:
            caption += "; cuts applied one after the other"
        blocks.append(table(header, rows, caption=caption, text_columns=2))
    return blocks


def _interval(row: Mapping[str, Any]) -> str:
    row = row.get("weighted", row)
    if row["efficiency"] is None:
        return _MINUS
    value, low, high = (100 * row[key] for key in ("efficiency", "low", "high"))
    return f"{value:.2f} (\N{MINUS SIGN}{value - low:.2f} +{high - value:.2f})"


def efficiency_blocks(folder: RunFolder) -> list[Html]:
    """kappa by run and period, eta, and what could not be measured."""
    if folder.efficiency is None:
        return []
    blocks = []
    for name, found in folder.efficiency.datasets.items():
        if found.kappa is not None:
            rows = [(f"run {run}", k) for run, k in found.runs.items()]
            rows += [(f"period {period}", k) for period, k in found.periods.items()]
            rows.append(("all", found.kappa))
            cells = [
                (
                    label, _count(k.passed), _count(k.total), _measured(k.raw, 100),
                    _measured(k.kappa, 100),
                )
                for label, k in rows
            ]  # fmt: skip
            header = ["", "passed", "of", "raw, %", "\N{GREEK SMALL LETTER KAPPA}, %"]
            blocks.append(table(header, cells, caption=f"Efficiency of {name}"))
        if found.signal is not None:
            text = f"{name}: upstream cuts {_measured(found.signal.up, 100)} %"
            if (fit := found.signal.turn_on) is not None:
                text += (
                    f"; downstream {_measured(fit.plateau, 100)} %, half of it at "
                    f"{_measured(fit.threshold)} GeV of missing energy"
                )
            blocks.append(paragraph(text + "."))
    # What is missing is often the same for all datasets.
    notes: dict[str, list[str]] = {}
    for name, found in folder.efficiency.datasets.items():
        for text in found.notes:
            notes.setdefault(text, []).append(name)
    return blocks + [note(f"{', '.join(names)}: {text}") for text, names in notes.items()]


def exposure_blocks(folder: RunFolder) -> list[Html]:
    """Particles on target by run."""
    if folder.exposure is None:
        return []
    blocks = []
    for name, found in folder.exposure.datasets.items():
        rows: list[Sequence[Any]] = [
            (
                f"run {run}", e.source, _measured(e.particles), e.good_spills, e.bad_spills,
                _percent(e.live_fraction),
            )
            for run, e in found.runs.items()
        ]  # fmt: skip
        rows.append(("all particles", "", _measured(found.particles), "", "", ""))
        rows.append(("all of the beam's kind", "", _measured(found.electrons), "", "", ""))
        header = ["", "from", "particles on target", "good spills", "bad spills", "live, %"]
        blocks.append(table(header, rows, caption=f"Exposure of {name}", text_columns=2))
    return blocks


def background_blocks(folder: RunFolder) -> list[Html]:
    """Components in the box, and tests outside of it."""
    if folder.background is None:
        return []
    blocks = []
    for name, period in folder.background["periods"].items():
        rows: list[Sequence[Any]] = []
        for c in period["components"]:
            limit = c["value"] is None
            rows.append(
                (
                    c["name"], c["source"], "limit" if limit else f"{c['value']:.3g}",
                    "" if limit else f"{c['statistical']:.2g}",
                    "" if limit else f"{c['systematic']:.2g}", f"{c['upper']:.3g}",
                )
            )  # fmt: skip
        total, seen = period["total"], period["observed"]
        rows.append(
            ("total", "", f"{total['expected']:.3g}", f"{total['error']:.2g} (all)", "", "")
        )
        rows.append(("observed", "", "blinded" if seen is None else _count(seen), "", "", ""))
        header = ["background", "from", "events in the box", "statistical", "systematic"]
        header.append("90 % upper limit")
        box = period["box"]
        caption = f"Period {name}: E_ECAL < {box['ecal']:g} GeV, E_HCAL < {box['hcal']:g} GeV"
        blocks.append(table(header, rows, caption=caption, text_columns=2))
        if period["closure"]:
            blocks.append(_closure(name, period["closure"]))
        blocks += [note(f"Period {name}: {text}") for text in period["notes"]]
    return blocks


def _closure(name: str, tests: Sequence[Mapping[str, Any]]) -> Html:
    rows = []
    for test in tests:
        known = test["expected"] is not None and test["log_error"] is not None
        rows.append(
            (
                test["name"],
                *(f"{r[0]:g}{_MINUS}{r[1]:g}" for r in (test["fitted"], test["predicted_range"])),
                f"{test['expected']:.3g} {_PM} {test['expected'] * test['log_error']:.2g}"
                if known
                else f"< {test['upper']:.3g}",
                f"{test['observed']:g}",
            )
        )
    header = ["test outside the box", "fitted, GeV", "predicted, GeV", "expected", "found"]
    return table(header, rows, caption=f"Closure, period {name}")


def limit_blocks(folder: RunFolder) -> list[Html]:
    """Every limit as a table."""
    blocks = []
    for file, content in folder.limits.items():
        rows = [
            (f"{p['mass_MeV']:.4g}", _number(p["coupling"]), *map(_number, p["bands"]))
            for p in content["points"]
        ]
        sigma = "\N{GREEK SMALL LETTER SIGMA}"
        projected = bool(content.get("projection", False))
        header = [
            "mass, MeV",
            "expected" if projected else "observed",
            f"\N{MINUS SIGN}2 {sigma}",
            f"\N{MINUS SIGN}1 {sigma}",
        ]
        header += ["median", f"+1 {sigma}", f"+2 {sigma}"]
        caption = (
            f"{file}: {content['strength']} of {content['model']}, {content['search']}, "
            f"{content['cl']:.0%} CL, {content['method']}"
            + (": what is expected, nothing is observed yet" if projected else "")
        )
        blocks.append(table(header, rows, caption=caption, text_columns=0))
    return blocks


def _number(value: float | None) -> str:
    return _MINUS if value is None else f"{value:.3g}"


def comparison_blocks(
    first: RunFolder, second: RunFolder, found: Sequence[Comparison]
) -> list[Html]:
    """Cutflows of both side by side; yields; agreement of the shapes."""
    blocks = [paragraph(f"First: {first.path}. Second: {second.path}. Selected events, by shape.")]
    flows = {d.name: d.cutflow for d in second.datasets}
    mine = {d.name: d.cutflow for d in first.datasets}
    for c in found:
        one, two = mine[c.first.dataset], flows[c.second.dataset]
        cuts = [*one.cuts, *(n for n in two.cuts if n not in one.cuts)]
        sides = [dict(zip(f.cuts, f.passed, strict=True)) for f in (one, two)]
        rows: list[Sequence[Any]] = [("before all cuts", *_pair(one.entered, two.entered))]
        rows += [(name, *_pair(sides[0].get(name), sides[1].get(name))) for name in cuts]
        header = ["cut", "first", "second", "first / second"]
        blocks.append(table(header, rows, caption=f"Cutflow of {c.first.dataset}"))
        if c.hidden is not None:
            blocks.append(note(f"Events in the region {c.hidden!r} are left out of both samples."))
        if c.yields is not None:
            blocks.append(
                paragraph(f"Selected, first over second: {_measured(c.yields)} (by exposure "
                "where both are known, else by weights alone).")
            )  # fmt: skip
        shapes = [
            (s.variable, f"{s.ks:.4f}", f"{s.ks_p:.3g}", f"{s.chi2:.1f}/{s.ndf}", f"{s.chi2_p:.3g}")
            for s in sorted(c.shapes, key=lambda s: s.chi2_p)
        ]
        header = ["variable", "KS distance", "KS p", "chi2/ndf", "chi2 p"]
        blocks.append(table(header, shapes, caption=f"Shapes of {c.first.dataset}"))
        if c.skipped:
            text = "; ".join(f"{name} ({why})" for name, why in c.skipped.items())
            blocks.append(paragraph(f"Not compared: {text}."))
    return blocks


def _pair(first: int | None, second: int | None) -> Iterator[str]:
    yield _count(first)
    yield _count(second)
    yield f"{first / second:.4f}" if first is not None and second else _MINUS


def input_blocks(folder: RunFolder) -> list[Html]:
    """Every file, the conditions by run, and the versions of everything."""
    record: Any = folder.record
    hidden = {d.name for d in folder.datasets if d.blinded is not None}
    rows = [
        (
            f["path"], f["dataset"], f["status"],
            "with hidden ones" if f["dataset"] in hidden and f["events_read"]
            else _count(f["events_read"]), _count(f["size"]),
            (f["sha256"] or _MINUS)[:12],
        )
        for f in record["inputs"]
    ]  # fmt: skip
    header = ["file", "dataset", "status", "events read", "bytes", "sha256"]
    used = [(u["sha256"][:12], _runs(u["runs"])) for u in record["conditions"]["used"]]
    versions = {"na64reco": record["na64reco"], **record["versions"]}
    return [
        table(header, rows, caption="Input files", text_columns=3),
        table(["conditions, sha256", "runs"], used, text_columns=2),
        definitions(versions.items()),
    ]
