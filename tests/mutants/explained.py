"""Survivors that are no defects, with the reason. Keys are the module and the change."""

EXPLAINED: dict[tuple[str, str], str] = {}
