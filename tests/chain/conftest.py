"""Simulated samples, reconstructed once for all tests of the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from na64reco.events import open_events
from na64reco.reconstruction import reconstruct_columns
from na64reco.setup import load_setup
from na64reco.simulation import write_simulation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Sample = Callable[..., dict[str, NDArray[Any]]]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """sample(process, n, ...) -> reconstructed columns, with the truth as ``mc.*``.

    ``momentum`` changes the beam's momentum and the magnets with it, as a beam line does.
    """
    folder = tmp_path_factory.mktemp("chain")

    made: dict[Path, dict[str, Any]] = {}

    def make(
        process: str,
        n: int,
        *,
        trigger: str = "beam",
        intensity: float | None = None,
        momentum: float = 100.0,
        seed: int = 1,
        name: str = "2022-electron",
        mass: float | None = None,
    ) -> dict[str, Any]:
        setup = load_setup(name)
        if momentum != setup.beam.momentum:
            share = momentum / setup.beam.momentum
            magnets = {
                k: m.model_copy(update={"field": m.field * share}) for k, m in setup.magnets.items()
            }
            beam = setup.beam.model_copy(update={"momentum": momentum})
            setup = setup.model_copy(update={"beam": beam, "magnets": magnets})
        path = folder / f"{process}-{n}-{trigger}-{intensity}-{momentum}-{seed}-{name}-{mass}.root"
        if path in made:
            return made[path]
        model = "dark-photon" if process == "signal" else None
        write_simulation(
            path,
            setup,
            process,
            n,
            seed=seed,
            trigger=trigger,
            intensity=intensity,
            model=model,
            mass=mass,
        )
        made[path] = reconstruct_columns(open_events(path), setup)
        return made[path]

    return make
