"""Survivors that are no defects, with the reason. Keys are the module and the change."""

EXPLAINED: dict[tuple[str, str], str] = {
    ("attention.heads.table", "slot.busy & slot.load → (slot.load)"): "`load` is only set while the slot is busy",
    ("attention.heads.loader", "is_value.eq(0) → []"): "`is_value` is 0 after the last value of every head",
    ("spmm.dispatcher", "entry + INT8_MIN → ((entry) - (INT8_MIN))"): "both add 128 modulo 256",
    (
        "bus.axi4",
        'getattr(self.axi, f"{channel}prot").eq(PROTECTION) → []',
    ): "`PROTECTION` is 0, as is a port without it",
}
