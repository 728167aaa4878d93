"""Variables computed from reconstructed columns, registered by name for use in selections.

A selection file names a variable; what it computes is Python code that was registered beforehand,
never text of the file. In processes other than the one that registered a variable (workers), the
module that does so must be imported as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from na64reco.errors import SelectionError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    Function: TypeAlias = Callable[..., NDArray[Any]]

__all__ = [
    "Description",
    "Values",
    "Variable",
    "base_columns",
    "describe",
    "find_description",
    "known_variables",
    "registered_variables",
    "variable",
]


@dataclass(frozen=True)
class Description:
    """What is known about a column or variable without looking at data."""

    dtype: np.dtype[Any]
    unit: str
    meaning: str


@dataclass(frozen=True)
class Variable:
    """A registered variable."""

    name: str
    needs: tuple[str, ...]
    """Columns or other variables, in the order of the function's arguments."""
    function: Function
    description: Description


# The one registry of the process: filled by decorators at import time, read everywhere else.
_REGISTRY: dict[str, Variable] = {}


def variable(
    name: str,
    *,
    needs: tuple[str, ...],
    unit: str,
    meaning: str,
    dtype: str = "float64",
) -> Callable[[Function], Function]:
    """Register a function of columns as a variable.

    The function gets the arrays of ``needs``, each of shape (events,), and returns one of that
    shape.

    Raises
    ------
    SelectionError
        If the name is taken by another function or by a reconstructed column.
    """

    def register(function: Function) -> Function:
        known = _REGISTRY.get(name)
        same = known is not None and (
            known.function.__module__ == function.__module__
            and known.function.__qualname__ == function.__qualname__
        )
        if known is not None and not same:
            msg = (
                f"The variable {name!r} is registered already, by "
                f"{known.function.__module__}.{known.function.__qualname__}; choose another name."
            )
            raise SelectionError(msg)
        _REGISTRY[name] = Variable(
            name, needs, function, Description(np.dtype(dtype), unit, meaning)
        )
        return function

    return register


def registered_variables() -> dict[str, Variable]:
    """Every registered variable by name."""
    return dict(_REGISTRY)


def known_variables() -> dict[str, Description]:
    """Every reconstructed column and registered variable by name."""
    # Imported here: the reconstruction pulls in compiled kernels, a selection's model does not.
    from na64reco.reconstruction.columns import COLUMNS

    known = {
        name: Description(np.dtype(column.dtype), column.unit, column.meaning)
        for name, column in COLUMNS.items()
    }
    return known | {name: entry.description for name, entry in _REGISTRY.items()}


def find_description(name: str) -> Description | None:
    """Type, unit and meaning of a column or variable; None where the name is unknown.

    So it is for a variable that was registered by a module which is not loaded now.
    """
    # Histograms ask this for each of their axes in each chunk: no table of all is built for it.
    from na64reco.reconstruction.columns import COLUMNS

    if name in _REGISTRY:
        return _REGISTRY[name].description
    if name in COLUMNS:
        column = COLUMNS[name]
        return Description(np.dtype(column.dtype), column.unit, column.meaning)
    return None


def describe(name: str) -> Description:
    """Type, unit and meaning of a column or variable.

    Raises
    ------
    SelectionError
        If there is none of that name.
    """
    known = find_description(name)
    if known is not None:
        return known
    msg = f"There is no variable {name!r}. {did_you_mean(name, known_variables())}"
    raise SelectionError(msg)


def base_columns(names: Iterable[str]) -> frozenset[str]:
    """The reconstructed columns from which the named columns and variables can be computed."""
    found: set[str] = set()
    for name in names:
        entry = _REGISTRY.get(name)
        found |= {name} if entry is None else base_columns(entry.needs)
    return frozenset(found)


class Values:
    """Columns of one batch of events, and the registered variables computed from them on demand.

    Parameters
    ----------
    columns
        Arrays of shape (events,) by name.

    Raises
    ------
    SelectionError
        If the arrays differ in length, or (on access) one is missing.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        lengths = {name: len(array) for name, array in columns.items()}
        if len(set(lengths.values())) > 1:
            msg = f"The columns differ in length: {lengths}; every column has one value per event."
            raise SelectionError(msg)
        self.events = next(iter(lengths.values()), 0)
        self._columns = dict(columns)
        self.given = frozenset(columns)
        """Names of the columns that are there without computing."""

    def add(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """More columns of the same events.

        Raises
        ------
        SelectionError
            If one has another length.
        """
        for name, array in columns.items():
            if len(array) != self.events:
                msg = f"The column {name!r} has {len(array)} values for {self.events} events."
                raise SelectionError(msg)
        self._columns.update(columns)
        self.given |= frozenset(columns)

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._columns:
            entry = _REGISTRY.get(name)
            if entry is None:
                msg = (
                    f"The column {name!r} is not among those of these events. "
                    f"{did_you_mean(name, self._columns)}"
                )
                raise SelectionError(msg)
            result = np.asarray(entry.function(*(self[need] for need in entry.needs)))
            if result.shape != (self.events,):
                msg = (
                    f"The variable {name!r} gave an array of shape {result.shape} for "
                    f"{self.events} events; expected ({self.events},)."
                )
                raise SelectionError(msg)
            self._columns[name] = result
        return self._columns[name]


@variable(
    "calo.energy",
    needs=("ecal.energy", "hcal.energy"),
    unit="GeV",
    meaning="energy in ECAL and HCAL together",
)
def _calorimeter_energy(ecal: NDArray[Any], hcal: NDArray[Any]) -> NDArray[Any]:
    total: NDArray[Any] = ecal + hcal
    return total


@variable(
    "calo.with_muon",
    needs=("track_out.momentum", "ecal.energy", "vhcal.energy", "hcal.energy"),
    unit="GeV",
    meaning="momentum of the outgoing track and energy in ECAL, VHCAL and HCAL together",
)
@variable(
    "calo.all",
    needs=("ecal.energy", "vhcal.energy", "hcal.energy"),
    unit="GeV",
    meaning="energy in ECAL, VHCAL and HCAL together",
)
def _sum(*parts: NDArray[Any]) -> NDArray[Any]:
    total: NDArray[Any] = np.sum(parts, axis=0)
    return total


@variable(
    "hcal.smallest_module",
    needs=("hcal.module0", "hcal.module1", "hcal.module2"),
    unit="GeV",
    meaning="smallest energy of the HCAL modules 0 to 2",
)
def _smallest_module(*modules: NDArray[Any]) -> NDArray[Any]:
    smallest: NDArray[Any] = np.min(modules, axis=0)
    return smallest


@variable(
    "hcal.largest_module",
    needs=("hcal.module0", "hcal.module1", "hcal.module2"),
    unit="GeV",
    meaning="largest energy of the HCAL modules 0 to 2",
)
def _largest_module(*modules: NDArray[Any]) -> NDArray[Any]:
    largest: NDArray[Any] = np.max(modules, axis=0)
    return largest
