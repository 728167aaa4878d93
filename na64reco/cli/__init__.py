"""The command `na64reco`."""

from __future__ import annotations

from na64reco.cli.app import app, main

__all__ = ["app", "main"]
