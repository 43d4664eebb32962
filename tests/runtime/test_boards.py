"""Whole encoders on a board; the golden model takes the place of the hardware."""

from contextlib import AbstractContextManager

import numpy as np
import pytest
from thresher.golden.machine import Machine
from thresher.golden.memory import Memory
from thresher.runtime import whole_answers
from thresher.runtime.coprocessor import WholeEncoder
from thresher.runtime.whole_answers import answer_whole
from thresher.spec import InputError, coprocessor_preset
from thresher.spec.image import Image
from thresher.spec.memory import memory_map
from thresher.spec.program import Region
from thresher.spec.registers import COUNTERS

from ..model.conftest import make_model

__all__ = ["make_model"]

TINY = coprocessor_preset("tiny")
TEXTS = ["a b c d", "h g f e a", "b a"]
WHOLE = WholeEncoder(config=TINY, host_embeddings=True)


class FakeBoard(AbstractContextManager["FakeBoard"]):
    """Device and driver in one."""

    def __init__(self, memory_bytes: int = 1 << 20, *, wrong: bool = False):
        self.memory_bytes, self.wrong, self.driver = memory_bytes, wrong, self

    def __exit__(self, *_) -> None:
        pass

    def load(self, content: bytes) -> None:
        self.image = Image.decode(content)
        assert memory_map(self.image.sizes, program_bytes=0).size <= self.memory_bytes

    def run(self, data: bytes) -> bytes:
        regions = {region: np.zeros(size, np.uint8) for region, size in self.image.sizes.items()}
        regions[Region.CONSTANTS] = np.frombuffer(self.image.data, np.uint8)
        regions[Region.INPUT] = np.frombuffer(data, np.uint8)
        assert Machine(TINY, Memory(regions=regions)).run(self.image.data[self.image.program :]).fault is None
        regions[Region.OUTPUT][0] ^= self.wrong
        return regions[Region.OUTPUT].tobytes()

    def counters(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(COUNTERS)}


@pytest.fixture
def answers(monkeypatch, make_model):
    """Answers of the small model on a fake board."""
    model = str(make_model())

    def run(board: FakeBoard):
        monkeypatch.setattr(whole_answers.CoprocessorDevice, "open", lambda *_, **settings: board)
        return answer_whole(model, TEXTS, whole=WHOLE, backend="device", port="port", rho=0.5)

    golden = answer_whole(model, TEXTS, whole=WholeEncoder(config=TINY), backend="golden", rho=0.5)
    return run, golden


def test_answers_are_those_of_the_golden_model(answers):
    run, golden = answers
    found = run(FakeBoard())
    assert (found.backend, found.bit_exact, found.answers) == ("device", True, golden.answers)
    (program,) = found.programs
    assert program.lengths == tuple(answer.tokens for answer in golden.answers)
    assert program.cycles == COUNTERS.index("CYCLES")
    assert program.units["vector"].instructions == COUNTERS.index("VECTOR_COMPLETED")


def test_a_small_memory_needs_several_runs(answers):
    run, golden = answers
    with pytest.raises(InputError, match=r"a text of 7 tokens needs \d+ bytes of memory, the board has 1024") as error:
        run(FakeBoard(1024))
    found = run(FakeBoard(int(str(error.value).split()[6])))
    assert found.answers == golden.answers
    assert len(found.programs) > 1


def test_wrong_results_are_found(answers):
    run, _ = answers
    assert run(FakeBoard(wrong=True)).bit_exact is False
