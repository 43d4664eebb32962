"""Blocks that all units share: streams, pipeline registers, arithmetic, divider, scratchpad, requantiser."""
