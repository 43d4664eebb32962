"""Specification of the hardware: configurations, commands, number formats and tables. Standard library only.

Golden model and hardware both import this room, and never each other.

====================  ==============================================================================================
module                contents
====================  ==============================================================================================
attention_config      configuration of an attention core, its policy, and the widths that follow
attention_command     command of a head, and its conversion from real numbers
spmm_config           configuration of an SpMM engine, and the widths that follow
spmm_command          command of a product, activations, and the scale of a row
vector_config         configuration of a vector unit, and the widths that follow
vector_command        command of a residual sum with LayerNorm
coprocessor_config    configuration of a co-processor, made of those of its units
program               instructions of a co-processor, and the regions of its memory
registers             registers of a co-processor
system_rdl            these registers as SystemRDL
buses                 buses of a top module, and the usual names of its clock and reset
image                 file of a compiled encoder
on_chip_config        configuration of a co-processor with its memory on the chip
memory                sizes and places of what instructions use
hazards               proof that the result of a program does not depend on the order of execution
weight_words          layout of packed weights
schedule              assignment of the rows of W to row engines
presets               named configurations and policies
vector                widths and fixed-point positions of the vector unit
formats               widths and fixed-point positions that no configuration changes
verilog_names         names in emitted Verilog that a user may choose
tables                contents of lookup tables: reciprocal, 1/√x, GELU
link                  protocol and configuration of the serial link to a board
heads                 a head's operands and statistics, as golden model and hardware exchange them
base                  base class of configurations, and checks of their fields
errors                errors that users see
files                 output files that are written completely or not at all
inputs                text and JSON files that users give
====================  ==============================================================================================
"""

from .attention_command import CommandError, HeadCommand, head_command
from .attention_config import AttentionConfig, BlockRule, Fill, HeadRule, Importance, Normalise, Score, Split
from .coprocessor_config import CoprocessorConfig
from .errors import CommandValueError, ConfigError, InputError, ThresherError
from .heads import Head, HeadStatistics
from .presets import (
    COPROCESSOR_PRESETS,
    POLICIES,
    PRESETS,
    SPMM_PRESETS,
    VECTOR_PRESETS,
    coprocessor_preset,
    preset,
    spmm_preset,
    vector_preset,
)
from .spmm_command import Activation, SpmmCommand, SpmmError, row_scaling
from .spmm_config import SpmmConfig, WeightFormat
from .vector_command import VectorCommand, VectorError
from .vector_config import VectorConfig

__all__ = [
    "COPROCESSOR_PRESETS",
    "POLICIES",
    "PRESETS",
    "SPMM_PRESETS",
    "VECTOR_PRESETS",
    "Activation",
    "AttentionConfig",
    "BlockRule",
    "CommandError",
    "CommandValueError",
    "ConfigError",
    "CoprocessorConfig",
    "Fill",
    "Head",
    "HeadCommand",
    "HeadRule",
    "HeadStatistics",
    "Importance",
    "InputError",
    "Normalise",
    "Score",
    "Split",
    "SpmmCommand",
    "SpmmConfig",
    "SpmmError",
    "ThresherError",
    "VectorCommand",
    "VectorConfig",
    "VectorError",
    "WeightFormat",
    "coprocessor_preset",
    "head_command",
    "preset",
    "row_scaling",
    "spmm_preset",
    "vector_preset",
]
