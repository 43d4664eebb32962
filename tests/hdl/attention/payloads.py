"""Payloads of the streams inside the attention core."""

import dataclasses

from thresher.spec import HeadCommand


def head_payload(command: HeadCommand, slot: int) -> dict:
    """The payload that announces a head in one of the two slots to a stage."""
    return {"slot": slot, **dataclasses.asdict(command)}
