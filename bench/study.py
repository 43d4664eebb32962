"""Accuracy over sparsity of MiniLM on SST-2, under all pruning rules.

    python bench/study.py --sst2-model FOLDER --data FOLDER --log FOLDER

``--data`` holds sst2_dev.tsv and sst2_calib.tsv (sentence, label). ``--log`` keeps finished jobs; another run with the
same folder goes on from there. ``thresher study --model FOLDER --task sst2 --data sst2_dev.tsv --calibration
sst2_calib.tsv -o FOLDER`` gives the same figures. ``cpu_seconds`` is the time of one core for the jobs with
predicted scores.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from baseline import BASELINES, write
from thresher.cli.study_picture import draw_study
from thresher.model.load import load_model
from thresher.runtime.steps import Steps
from thresher.runtime.study import study
from thresher.runtime.study.plan import ALL_RULES, Scores
from thresher.runtime.study.result import StudyReport
from thresher.spec import preset

BASELINE = BASELINES / "study.json"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "study.png"


class Printed(Steps):
    """Prints the progress."""

    def count(self, done: int, total: int) -> None:
        """See :class:`Steps`."""
        print(f"{done} of {total} jobs", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sst2-model", type=Path, required=True, help="folder of a BERT that was fine-tuned on SST-2")
    parser.add_argument("--data", type=Path, required=True, help="folder of the two files")
    parser.add_argument("--log", type=Path, required=True, help="folder of the log")
    parser.add_argument(
        "--approximate", nargs="*", default=ALL_RULES, help="rules that run with approximate scores, too"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=BASELINE)
    arguments = parser.parse_args()
    model = load_model(arguments.sst2_model)

    def run(scores: Scores, rules: Sequence[str]) -> StudyReport:
        return study(
            model,
            "sst2",
            arguments.data / "sst2_dev.tsv",
            config=preset("edge"),
            output=arguments.log,
            rules=rules,
            scores=[scores],
            calibration=arguments.data / "sst2_calib.tsv",
            jobs=arguments.jobs,
            steps=Printed(),
        )

    report = run(Scores.PREDICTED, ALL_RULES)
    rows = list(report.rows)
    if arguments.approximate:
        rows += [row for row in run(Scores.APPROXIMATE, arguments.approximate).rows if row.scores == Scores.APPROXIMATE]
    rounded = [
        {name: round(value, 5) if isinstance(value, float) else value for name, value in row.to_dict().items()}
        for row in rows
    ]
    write(
        arguments.output,
        {
            "model": arguments.sst2_model.name,
            "task": report.task,
            "metric": report.metric,
            "examples": report.examples,
            "policy": report.policy,
            "cpu_seconds": round(report.cpu_seconds),
            "rows": rounded,
        },
    )
    draw_study(rows, PICTURE, metric=report.metric, title=f"{arguments.sst2_model.name} on SST-2")


if __name__ == "__main__":
    main()
