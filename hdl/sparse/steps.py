"""What passes inside a row engine: tagged weight words, and the steps that front ends make of them."""

from amaranth import signed, unsigned
from amaranth.lib import data

from ...spec.formats import INT8_BITS
from ...spec.spmm_config import SpmmConfig
from .interface import weights_layout

__all__ = ["spread_step_layout", "step_layout", "tag_layout", "tagged_word_layout"]


def tag_layout() -> data.StructLayout:
    """Where a word or a step stands: ``first`` and ``last`` of its row, and the half of the tile memory that has the
    row's tokens. A row without words has one ``empty`` word, first and last."""
    return data.StructLayout({"first": 1, "last": 1, "empty": 1, "slot": 1})


def tagged_word_layout(config: SpmmConfig) -> data.StructLayout:
    """A weight word and its tag."""
    return data.StructLayout({"word": unsigned(weights_layout(config).size), "tag": tag_layout()})


def step_layout(config: SpmmConfig) -> data.StructLayout:
    """One weight for all lanes. What is no weight (an empty row, an escape, padding) has the value 0."""
    return data.StructLayout(
        {"column": unsigned(config.column_bits), "value": signed(INT8_BITS), "first": 1, "last": 1, "slot": 1}
    )


def spread_step_layout(config: SpmmConfig) -> data.StructLayout:
    """One weight of each bank, the column counted inside the bank."""
    return data.StructLayout(
        {
            "columns": data.ArrayLayout(unsigned(config.column_bits), config.banks),
            "values": data.ArrayLayout(signed(INT8_BITS), config.banks),
            "first": 1,
            "last": 1,
            "slot": 1,
        }
    )
