"""Small attention configurations for simulation."""

import dataclasses

from thresher.spec import AttentionConfig, preset

SMALL = dataclasses.replace(preset("tiny"), compact=False, lanes=2, predictor_lanes=4, output_lanes=2)


def tiny(**changes) -> AttentionConfig:
    """The preset ``tiny`` as a pipelined core with two multipliers per score, with some fields changed."""
    return dataclasses.replace(SMALL, **changes)


def compact(config: AttentionConfig) -> AttentionConfig:
    """The same configuration as a compact core."""
    return dataclasses.replace(config, compact=True, output_lanes=1)


def both_kinds(configs: dict[str, AttentionConfig]) -> dict[str, AttentionConfig]:
    """Each configuration as a pipelined and as a compact core."""
    pipelined = {f"pipelined-{name}": config for name, config in configs.items()}
    return pipelined | {f"compact-{name}": compact(config) for name, config in configs.items()}
