"""A vector boson with couplings given by the user, as numbers or tables; and models by name.

A file:

.. code-block:: yaml

    name: muonphilic
    electron: 0.0             # times the overall coupling g; likewise muon, tau
    muon: 1.0
    tau:                      # a table, linear between its points
      against: q2             # GeV^2; or mass, GeV
      points: [[0.0, 0.5], [1.0, 0.4]]
    neutrinos: [0, 1, 0]      # by flavour
    hadrons: 0.0              # times the electric charge of the quarks
    dark: {kind: scalar, alpha: 0.1, mass_ratio: 0.333}    # may be left out

What is left out is 0.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import numpy as np
import yaml

from na64reco.darksector.hadrons import electromagnetic_ratio
from na64reco.darksector.models import BMinusL, DarkPhoton, DarkSector, Lepton, LMuLTau, VectorModel
from na64reco.darksector.widths import fermion_width
from na64reco.errors import ModelError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CouplingTable",
    "GenericVector",
    "load_model",
    "model_names",
    "read_model",
    "register_model",
]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class CouplingTable:
    """A coupling against q2 or mass, linear between points; an error outside."""

    against: Literal["q2", "mass"]
    x: tuple[float, ...]
    """GeV^2 or GeV, ascending."""
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        """Complain about what is not a table."""
        if self.against not in {"q2", "mass"}:
            msg = f"A coupling is given against 'q2' or 'mass', found {self.against!r}"
            raise ModelError(msg)
        finite = np.isfinite([*self.x, *self.y]).all()
        if len(self.x) < 2 or len(self.x) != len(self.y) or not finite:
            msg = f"A table needs two points [x, y] or more, all finite; found {len(self.x)}"
            raise ModelError(msg)
        if not np.all(np.diff(self.x) > 0):
            msg = f"The points of a table must ascend in {self.against}, found {list(self.x)}"
            raise ModelError(msg)

    def __call__(self, q2: ArrayLike, mass: ArrayLike) -> NDArray[np.float64]:
        """The coupling, in the shape to which q2 and mass broadcast.

        Raises
        ------
        ModelError
            Outside the table.
        """
        at, _ = np.broadcast_arrays(
            *((q2, mass) if self.against == "q2" else (mass, q2)),
        )
        slack = 1e-12 * (abs(self.x[0]) + abs(self.x[-1]))
        outside = (at < self.x[0] - slack) | (at > self.x[-1] + slack)
        if np.any(outside):
            msg = (
                f"{self.against} = {np.asarray(at)[outside].flat[0]:g} is outside the coupling's "
                f"table, [{self.x[0]:g}, {self.x[-1]:g}]; extend the table"
            )
            raise ModelError(msg)
        return np.asarray(np.interp(at, self.x, self.y))


_Coupling = float | CouplingTable


def _evaluate(coupling: _Coupling, q2: ArrayLike, mass: ArrayLike) -> NDArray[np.float64]:
    if isinstance(coupling, CouplingTable):
        return coupling(q2, mass)
    return np.full(np.broadcast_shapes(np.shape(q2), np.shape(mass)), coupling)


@dataclass(frozen=True)
class GenericVector(VectorModel):
    """Couplings in units of an overall g."""

    label: str = "generic"
    electron: _Coupling = 0.0
    muon: _Coupling = 0.0
    tau: _Coupling = 0.0
    neutrino_flavours: tuple[_Coupling, ...] = ()
    quarks: _Coupling = 0.0
    """To hadrons, times the electric charge."""

    @property
    def name(self) -> str:
        """As in its file."""
        return self.label

    def vertex(
        self, lepton: Lepton, q2: ArrayLike, coupling: ArrayLike, mass: ArrayLike
    ) -> NDArray[np.complex128]:
        """g times the lepton's coupling."""
        own = {"electron": self.electron, "muon": self.muon, "tau": self.tau}[lepton]
        found = np.asarray(coupling) * _evaluate(own, q2, mass)
        return np.asarray(found, dtype=np.complex128)

    def neutrinos(self, q2: ArrayLike, coupling: ArrayLike, mass: ArrayLike) -> NDArray[np.float64]:
        """Sum over flavours."""
        total = _evaluate(0.0, q2, mass)
        for flavour in self.neutrino_flavours:
            total = total + _evaluate(flavour, q2, mass) ** 2
        return np.asarray(np.asarray(coupling) ** 2 * total)

    def hadronic_width(
        self, energy: ArrayLike, coupling: ArrayLike, mass: ArrayLike
    ) -> NDArray[np.float64]:
        """As of a dark photon with e epsilon = g times ``quarks``."""
        energy = np.asarray(energy, dtype=np.float64)
        charge = np.asarray(coupling) * _evaluate(self.quarks, energy**2, mass)
        ratio = electromagnetic_ratio(energy)
        if self.quarks == 0.0:
            ratio = np.zeros_like(energy)
        return fermion_width(energy, 0.0, charge) * ratio


_KEYS: Final = ("name", "electron", "muon", "tau", "neutrinos", "hadrons", "dark")
_DARK_KEYS: Final = ("kind", "alpha", "mass_ratio")


def _check_keys(found: object, known: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        msg = f"{where}: expected a mapping of {', '.join(known)}, found {found!r}"
        raise ModelError(msg)
    for key in found:
        if key not in known:
            msg = f"{where}: unknown key {key!r}. {did_you_mean(str(key), known)}"
            raise ModelError(msg)
    return found


def _coupling(value: object, where: str) -> _Coupling:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value):
        return float(value)
    if isinstance(value, dict):
        table = _check_keys(value, ("against", "points"), where)
        try:
            points = np.asarray(table["points"], dtype=np.float64).reshape(-1, 2)
            return CouplingTable(table["against"], tuple(points[:, 0]), tuple(points[:, 1]))
        except (KeyError, ValueError, TypeError) as error:
            msg = f"{where}: a table needs `against: q2|mass` and `points: [[x, y], ...]`"
            raise ModelError(msg) from error
        except ModelError as error:
            msg = f"{where}: {error}"
            raise ModelError(msg) from error
    msg = f"{where}: expected a number or a table, found {value!r}"
    raise ModelError(msg)


def read_model(path: Path) -> GenericVector:
    """A model from a YAML file.

    Raises
    ------
    ModelError
        If the file cannot be read, or with the key that is wrong.
    """
    _LOG.info("Model from %s", path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"{path}: cannot be read as YAML: {error}"
        raise ModelError(msg) from error
    found = _check_keys(content, _KEYS, str(path))
    flavours = found.get("neutrinos", [])
    if not isinstance(flavours, list):
        msg = f"{path}: neutrinos: expected a list of couplings by flavour, found {flavours!r}"
        raise ModelError(msg)
    dark = None
    if "dark" in found:
        keys = _check_keys(found["dark"], _DARK_KEYS, f"{path}: dark")
        try:
            dark = DarkSector(**keys)
        except (TypeError, ModelError) as error:
            msg = f"{path}: dark: {error}"
            raise ModelError(msg) from error
    return GenericVector(
        dark=dark,
        label=str(found.get("name", path.stem)),
        electron=_coupling(found.get("electron", 0.0), f"{path}: electron"),
        muon=_coupling(found.get("muon", 0.0), f"{path}: muon"),
        tau=_coupling(found.get("tau", 0.0), f"{path}: tau"),
        neutrino_flavours=tuple(_coupling(f, f"{path}: neutrinos") for f in flavours),
        quarks=_coupling(found.get("hadrons", 0.0), f"{path}: hadrons"),
    )


_MODELS: Final[dict[str, Callable[[], VectorModel]]] = {
    "dark-photon": lambda: DarkPhoton(DarkSector()),
    "dark-photon-visible": DarkPhoton,
    "lmutau-vanilla": LMuLTau,
    "lmutau-dark": lambda: LMuLTau(DarkSector()),
    "b-l": BMinusL,
}


def register_model(name: str, make: Callable[[], VectorModel]) -> None:
    """Make a model known to `load_model`.

    Raises
    ------
    ModelError
        If the name is taken.
    """
    if name in _MODELS:
        msg = f"There is a model {name!r} already; choose another name"
        raise ModelError(msg)
    _MODELS[name] = make


def _shipped() -> Mapping[str, Path]:
    folder = Path(str(files("na64reco.darksector") / "data"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def model_names() -> tuple[str, ...]:
    """All that `load_model` knows, without the user's files."""
    return (*_MODELS, *_shipped())


def load_model(
    name: str | Path,
    *,
    kind: str | None = None,
    alpha: float | None = None,
    mass_ratio: float | None = None,
) -> VectorModel:
    """A model by name, or from a YAML file.

    Parameters
    ----------
    name
        See `model_names`, or the path of a file that ends in .yaml or .yml.
    kind, alpha, mass_ratio
        Of the dark sector, instead of the model's own: see `DarkSector`.

    Raises
    ------
    ModelError
        If there is no such model, or the dark sector is unphysical or not the model's.
    """
    shipped = _shipped()
    text = str(name)
    if text in _MODELS:
        model = _MODELS[text]()
    elif text in shipped:
        model = read_model(shipped[text])
    elif text.endswith((".yaml", ".yml")):
        model = read_model(Path(name))
    else:
        msg = (
            f"There is no model {text!r}. {did_you_mean(text, model_names())} A model of your own "
            f"is a file that ends in .yaml"
        )
        raise ModelError(msg)
    given = {
        key: value
        for key, value in (("kind", kind), ("alpha", alpha), ("mass_ratio", mass_ratio))
        if value is not None
    }
    if not given:
        return model
    if text in {"lmutau-vanilla", "dark-photon-visible"}:
        other = "lmutau-dark" if text == "lmutau-vanilla" else "dark-photon"
        msg = f"{text} has no dark sector, but {', '.join(given)} was given; choose {other!r}"
        raise ModelError(msg)
    dark = replace(model.dark or DarkSector(), **cast("dict[str, Any]", given))
    return replace(model, dark=dark)
