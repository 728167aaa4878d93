"""From selected events to the numbers of a search: exposure, efficiency, background, limits."""

from __future__ import annotations

__all__: list[str] = []
