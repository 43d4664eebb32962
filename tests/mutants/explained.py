"""Survivors that are no defects, with the reason. Keys are the module and the change."""

EXPLAINED: dict[tuple[str, str], str] = {
    ("attention.heads.table", "slot.busy & slot.load → (slot.load)"): "`load` is only set while the slot is busy",
}
