"""Files of tasks: GLUE's own, columns by name, and words as labels."""

import pytest
from thresher.model.datasets import read_dataset
from thresher.model.tasks import Kind, Metric, chosen_task
from thresher.spec import ThresherError


@pytest.fixture
def write(tmp_path):
    """A file of these lines, with tabs in place of ``|``."""

    def write(*lines: str):
        path = tmp_path / "data.tsv"
        path.write_text("\n".join(lines).replace("|", "\t") + "\n", encoding="utf-8")
        return path

    return write


def test_cola_as_glue_has_it(write):
    """No header: source, label, mark, sentence."""
    found = read_dataset(write("gj04|1||Our friends buy this.", 'gj04|0|*|They drank "the pub".'), "cola")
    assert found.targets == (1, 0)
    assert found.texts == ("Our friends buy this.", 'They drank "the pub".')
    assert found.lines == (1, 2)
    assert found.task.metric is Metric.MCC
    assert read_dataset(write("sentence|label", "One more.|1"), "cola").lines == (2,)
    with pytest.raises(ThresherError, match="line 2: 3 columns found, 4 expected"):
        read_dataset(write("gj04|1||a", "gj04|1|b"), "cola")


def test_cola_test_file_has_no_labels(write):
    with pytest.raises(ThresherError, match="line 1: there is no column label: give a file with labels"):
        read_dataset(write("index|sentence", "0|Bill whistled past the house."), "cola")


def test_stsb_as_glue_has_it(write):
    header = "index|genre|filename|year|old_index|source1|source2|sentence1|sentence2|score"
    found = read_dataset(write(header, "0|main|MSRvid|2012|1|none|none|A plane.|An air plane.|5.000"), "stsb")
    assert (found.targets, found.texts) == ((5,), (("A plane.", "An air plane."),))


def test_columns_by_option(write):
    """MRPC. Its quotation marks are part of the texts."""
    path = write("\ufeffQuality|#1 ID|#2 ID|#1 String|#2 String", '1|7|8|He said "no|"He" said no', "0|9|10|a|b")
    columns = {"text_column": "#1 String", "second_text_column": "#2 String", "label_column": "Quality"}
    task = chosen_task("classification", metric="f1", **columns)
    found = read_dataset(path, task)
    assert found.texts == (('He said "no', '"He" said no'), ("a", "b"))
    assert found.targets == (1, 0)
    assert (found.task.kind, found.task.metric) == (Kind.CLASSES, "f1")
    with pytest.raises(ThresherError, match="the columns must be #1, #2, Quality"):
        read_dataset(
            path, chosen_task("classification", **(columns | {"text_column": "#1", "second_text_column": "#2"}))
        )


def test_a_few_damaged_lines_of_a_large_file_are_left_out(write):
    """As in GLUE's QQP."""
    good = [f"a text|{number % 2}" for number in range(1999)]
    found = read_dataset(write("sentence|label", *good[:5], "cut off", *good[5:], "cut|off|0"), "sst2", limit=6)
    assert found.lines == (2, 3, 4, 5, 6, 8)
    assert found.targets == (0, 1, 0, 1, 0, 1)
    assert found.note == "2 of 2001 lines do not have 2 columns and are left out, the first is line 7"
    with pytest.raises(ThresherError, match="line 7: 1 columns found, 2 expected"):
        read_dataset(write("sentence|label", *good[:5], "cut off", *good[:993]), "sst2")


LINES = ("index|question|sentence|label", "0|a?|b.|Entailment", "1|c?|d.|not_entailment")
QNLI = chosen_task("classification", text_column="question", second_text_column="sentence")


def test_words_are_names_of_the_models_classes(write):
    path = write(*LINES)
    assert read_dataset(path, QNLI, labels=("entailment", "not_entailment")).targets == (0, 1)
    found = read_dataset(path, QNLI, labels=("NOT_ENTAILMENT", "ENTAILMENT"))
    assert (found.targets, found.note) == ((1, 0), None)
    with pytest.raises(ThresherError, match="line 2: 'Entailment' is no label 0 or 1, and none of yes, no"):
        read_dataset(path, QNLI, labels=("yes", "no"))


def test_words_without_names_are_sorted(write):
    """All words of the file count, also those beyond the limit."""
    path = write(*LINES[:1], LINES[2], LINES[1])
    found = read_dataset(path, QNLI, 1, labels=("LABEL_0", "LABEL_1"))
    assert found.targets == (1,)
    assert found.note is not None
    assert "entailment = 0, not_entailment = 1" in found.note
    with pytest.raises(ThresherError, match="is no label from 0 to 2"):
        read_dataset(path, QNLI, classes=3, labels=("LABEL_0", "LABEL_1", "LABEL_2"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("stsb", {"metric": "f1"}, "metric='f1' is not allowed: the task stsb has its own, spearman"),
        ("classification", {"metric": "spearman"}, "must be accuracy, mcc or f1"),
        ("sst2", {"second_text_column": "b"}, "needs --text-column"),
        ("mnli", {}, "task='mnli'"),
    ],
)
def test_options_must_fit(name, options, message):
    with pytest.raises(ThresherError, match=message):
        chosen_task(name, **options)


def test_options_change_a_task_with_a_name(write):
    path = write("text|gold", "fine|1")
    assert read_dataset(path, chosen_task("sst2", text_column="text", label_column="gold")).texts == ("fine",)
    task = chosen_task("stsb", label_column="gold")
    with pytest.raises(ThresherError, match="is no score from 0 to 5"):
        read_dataset(write("sentence1|sentence2|gold", "a|b|7"), task)
