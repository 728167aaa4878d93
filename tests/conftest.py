from __future__ import annotations

from na64reco.numba_start import compile_once

# The processes of pytest-xdist share kernels: each is compiled by the first that needs it.
compile_once()
