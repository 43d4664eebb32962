"""Proves claims, and brings the page that lists them up to date."""

import argparse
import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor

from thresher.spec.errors import ThresherError

from .claims import Claim
from .prover import Result, Verdict
from .table import CLAIMS, PAGE, key, listed, page


def _check(claim: Claim) -> Verdict:
    verdict = claim.prove()
    nothing = "" if verdict.reached else "; no run was found in which there is something to check"
    print(f"{verdict.seconds:7.1f} s  {verdict.result:<12} {claim.name}{nothing}", flush=True)
    if verdict.result is Result.REFUTED:
        print(f"broken: {', '.join(verdict.broken)}\n{verdict.trace}", flush=True)
    return verdict


def main() -> int:
    """Run the proofs. Returns 1 if a property is refuted, otherwise 0."""
    parser = argparse.ArgumentParser(prog="make formal", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="proofs at a time")
    parser.add_argument("--short", action="store_true", help="only proofs of few seconds")
    parser.add_argument("--only", metavar="TEXT", default="", help="only claims whose name has the text")
    parser.add_argument("--new", action="store_true", help="only claims that the page lacks")
    parser.add_argument("--seconds", type=int, metavar="N", help="time limit of the engine for each proof")
    options = parser.parse_args()
    known = listed(PAGE.read_text(encoding="utf-8")) if options.new and PAGE.exists() else {}
    chosen = [
        dataclasses.replace(each, seconds=options.seconds or each.seconds)
        for each in CLAIMS
        if (each.short or not options.short) and options.only in each.name and key(each) not in known
    ]
    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(_check, chosen):
            verdicts.append(verdict)
            before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
            PAGE.write_text(page(list(zip(chosen, verdicts, strict=False)), before), encoding="utf-8")
    return int(any(each.result is Result.REFUTED for each in verdicts))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ThresherError as error:
        sys.exit(f"error: {error}")
