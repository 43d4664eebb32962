"""The command line: joins the rooms, reads settings, prints reports."""

from .commands import app, main

__all__ = ["app", "main"]
