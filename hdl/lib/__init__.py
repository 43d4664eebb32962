"""Streams, pipeline registers, arithmetic, divider, scratchpad, requantiser: shared by the units."""
