"""Faults of the commands of all units: fields beyond their limits, and flipped bits."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from thresher.golden.packets import packet_error
from thresher.spec.errors import CommandValueError

from .stands import Stand, fits
from .streams import FOREVER, Transfers

__all__ = ["flips_before_the_operands", "flips_on_the_way", "limits"]


def _fields(stand: Stand) -> Iterator[tuple[Any, str]]:
    """Commands with a field at its limit, one beyond, at the ends of its bits, and beyond these; and the field."""
    for name, (bits, signed) in stand.widths.items():
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        values = {least, most, least - 1, most + 1}
        if name in stand.limits:
            values |= {stand.limits[name], stand.limits[name] + 1}
        for value in sorted(values):
            yield replace(stand.bases[0], **{name: value}), name


def limits(stand: Stand) -> int:
    """Each field at its limits and beyond. The next command follows at once."""
    cases = 0
    for seed, (command, name) in enumerate(_fields(stand)):
        rng = np.random.default_rng(seed)
        if fits(command, stand.widths):
            _check_command(stand, command, rng, seed)
        else:
            with pytest.raises(CommandValueError, match=name):
                stand.batch([stand.job(command, rng)])
        cases += 1
    return cases


def _check_command(stand: Stand, command: Any, rng: np.random.Generator, seed: int) -> None:
    jobs = [stand.job(command, rng), stand.good(seed)]
    runs = stand.run(jobs)
    assert runs[0].statistics.error is stand.rejection(command), f"seed {seed}: {command}"
    stand.check(jobs, runs, seed)


def _flipped(stand: Stand) -> Iterator[tuple[Any, Any]]:
    """Each legal command with each of its bits flipped: before, and after."""
    for base in stand.bases:
        for name, (bits, signed) in stand.widths.items():
            for bit in range(bits):
                value = (getattr(base, name) & (1 << bits) - 1) ^ 1 << bit
                value -= (value >> bits - 1 << bits) if signed else 0
                yield base, replace(base, **{name: value})


def flips_before_the_operands(stand: Stand) -> int:
    """The sender follows the altered command."""
    cases = 0
    for seed, (_, command) in enumerate(_flipped(stand)):
        _check_command(stand, command, np.random.default_rng(seed), seed)
        cases += 1
    return cases


def flips_on_the_way(stand: Stand) -> int:
    """The sender follows the command as it was."""
    cases = 0
    for seed, (base, command) in enumerate(_flipped(stand)):
        rng = np.random.default_rng(seed)
        sent = stand.job(base, rng)
        _check_altered(stand, sent, stand.job(command, rng), command, seed)
        cases += 1
    return cases


def _check_altered(stand: Stand, sent: Any, altered: Any, command: Any, seed: int) -> None:
    """A unit gets a command, but packets for another one."""
    where, good = f"seed {seed}: {command}", stand.good(seed)
    given = stand.batch([sent]).packets(0)
    batch = stand.batch([altered, good])
    wanted, needed = stand.rejection(command), stand.expected(command, sent)
    if not wanted and needed.keys() != given.keys():
        _check_streams(stand, command, given, needed, seed)
        return
    packets = batch.packets
    batch.packets = lambda index: given if index == 0 else packets(index)
    first, second = stand.run([altered, good], batch)
    if wanted:
        assert first.output is None, where
    else:
        wanted = packet_error(stand.codes, needed, {name: len(beats) for name, beats in given.items()})
    assert first.statistics.error is wanted, where
    stand.check([good], [second], seed)
    if not wanted and (same := stand.with_operands(sent, command)) is not None:
        stand.check([same], [first], seed)


def _check_streams(stand: Stand, command: Any, given: Mapping[str, Any], needed: Mapping[str, int], seed: int) -> None:
    """A packet never comes, or belongs to no command, until a reset."""
    stand.simulator.abort()
    found = Transfers(stand.simulator)
    found.run({"i_command": [asdict(command)], **given}, FOREVER * stand.duration)
    waits = set(needed) - set(given)
    assert found.count("o_statistics") == (0 if waits else 1), f"seed {seed}: {command}"
    stand.simulator.abort()
    stand.check_next(seed)
