"""``thresher bench attention``: cycles per head of the simulated attention core."""

import dataclasses
from typing import Annotated

import typer

from . import options, progress, report
from .frame import bench_app, command, print_json, require_bit_exact
from .settings import configuration

__all__ = ["bench_attention"]


@command(bench_app, "attention")
def bench_attention(
    length: Annotated[int, typer.Option("--length", help="Queries and keys of a head.")] = 128,
    head_dim: Annotated[int, typer.Option("--head-dim", help="Head dimension d.")] = 64,
    sparsity: Annotated[float, typer.Option("--sparsity", help="Share of blocks to prune, 0 to below 1.")] = 0.75,
    heads: Annotated[int, typer.Option("--heads", help="Heads of each run, at least 5.")] = 9,
    causal: Annotated[
        bool, typer.Option("--causal", help="Causal heads, on a core that is generated for them.")
    ] = False,
    preset: options.Preset = options.EDGE,
    policy: options.Policy = options.THRESHER,
    config_file: options.Config = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Measure cycles per head in steady state, with and without pruning, on the simulated hardware."""
    from ..runtime.attention_bench import bench_attention

    with progress.steps() as steps:
        config = configuration(preset, policy, config_file)
        result = bench_attention(
            dataclasses.replace(config, causal=True) if causal else config,
            length=length,
            head_dim=head_dim,
            sparsity=sparsity,
            heads=heads,
            seed=seed,
            causal=causal,
            steps=steps,
        )
    figures = {"preset": preset.value, "policy": policy.value, "causal": causal, "seed": seed, **result.to_dict()}
    if as_json:
        print_json(figures)
    else:
        report.bench(figures)
    require_bit_exact(figures["bit_exact"])
