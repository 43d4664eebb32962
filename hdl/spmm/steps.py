"""Payloads inside a row engine: weight words with tags, and steps."""

from amaranth import signed, unsigned
from amaranth.lib import data
from amaranth.utils import ceil_log2

from ...spec.formats import INT8_BITS
from ...spec.spmm_config import SpmmConfig
from .product_streams import weights_layout

__all__ = ["spread_step_layout", "step_layout", "tag_layout", "tagged_word_layout"]


def tag_layout(config: SpmmConfig) -> data.StructLayout:
    """The position of a step.

    ``first`` and ``last`` mark the ends of the row. ``place`` is the step's position in its word; ``opens`` marks
    place 0. ``slot`` is the half of the tile memory with the row's tokens. A row without words has one ``empty`` step,
    which is first and last.
    """
    place = unsigned(ceil_log2(max(config.banks, config.kept, 2)))
    return data.StructLayout({"first": 1, "last": 1, "opens": 1, "place": place, "empty": 1, "slot": 1})


def tagged_word_layout(config: SpmmConfig) -> data.StructLayout:
    """A weight word, and the tag of one of its steps."""
    return data.StructLayout({"word": unsigned(weights_layout(config).size), "tag": tag_layout(config)})


def step_layout(config: SpmmConfig) -> data.StructLayout:
    """One weight for all lanes. Steps without a weight (empty row, escape, padding) have value and column 0."""
    return data.StructLayout(
        {"column": unsigned(config.column_bits), "value": signed(INT8_BITS), "first": 1, "last": 1, "slot": 1}
    )


def spread_step_layout(config: SpmmConfig) -> data.StructLayout:
    """One weight of each bank. Columns count within the bank."""
    return data.StructLayout(
        {
            "columns": data.ArrayLayout(unsigned(config.column_bits), config.banks),
            "values": data.ArrayLayout(signed(INT8_BITS), config.banks),
            "first": 1,
            "last": 1,
            "slot": 1,
        }
    )
