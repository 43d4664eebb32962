"""Compiled encoders: the golden model of the co-processor executes them, and gives what the golden encoder gives."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from thresher.golden.attention.core import attention_head
from thresher.golden.encoder import Encoder, Text, class_scores, encode, token_sums
from thresher.golden.machine import Machine
from thresher.golden.memory import Memory
from thresher.model.compiler import encoder_constants, encoder_program, listing
from thresher.model.integer import IntegerEncoder
from thresher.model.load import as_batch, calibration_sentences
from thresher.spec import ConfigError, CoprocessorConfig, HeadCommand, InputError, WeightFormat, coprocessor_preset
from thresher.spec.hazards import check_order
from thresher.spec.program import Opcode, Region

CONFIG = coprocessor_preset("tiny")
LENGTHS = [[1], [9], [3, 17, 8, 1], [8, 8], [47]]


@pytest.fixture(scope="module")
def integer(default_model) -> IntegerEncoder:
    return default_model.quantise(calibration_sentences()[:20])


def some_texts(encoder: Encoder, lengths: list[int], seed: int = 1) -> list[Text]:
    rng = np.random.default_rng(seed)
    return [
        Text(
            ids=tuple(rng.integers(0, len(encoder.words), length).tolist()),
            places=tuple(rng.integers(0, len(encoder.places), length).tolist()),
        )
        for length in lengths
    ]


def commands_of(config: CoprocessorConfig, integer: IntegerEncoder, tau: float = 0.0):
    head_dim = len(integer.golden.output_shift) // integer.golden.heads

    def commands(layer: int, length: int) -> HeadCommand:
        return integer.attention.layers[layer].command(
            config.attention, length=length, head_dim=head_dim, rho=0.2, tau=tau
        )

    return commands


def hidden_states(
    config: CoprocessorConfig, integer: IntegerEncoder, texts: list[Text], tau: float = 0.0
) -> list[np.ndarray]:
    """(C, N) of each text by the golden encoder."""

    def attend(heads):
        outputs = [attention_head(config.attention, *head).output for head in heads]
        return [output for output in outputs if output is not None]

    return encode(config.spmm, integer.golden, texts, commands=commands_of(config, integer, tau), attend=attend)


def expected(config: CoprocessorConfig, integer: IntegerEncoder, texts: list[Text], tau: float = 0.0) -> np.ndarray:
    """What the golden encoder gives."""
    encoder = integer.golden
    hidden = hidden_states(config, integer, texts, tau)
    return class_scores(config.spmm, encoder, hidden) if encoder.classifier else token_sums(hidden)


def found(config, integer, texts, *, order=None, sums=True, tau=0.0, **settings) -> np.ndarray:
    """What the compiled program gives."""
    constants = encoder_constants(config, integer.golden, **settings)
    lengths = [len(text) for text in texts]
    program = encoder_program(config, constants, lengths, commands_of(config, integer, tau), sums=sums)
    check_order(config, program.instructions)
    rng = np.random.default_rng(3)
    memory = Memory(
        regions={
            Region.CONSTANTS: constants.data,
            Region.INPUT: program.input(texts),
            **{
                region: rng.integers(0, 256, program.spaces[region].size, np.uint8)
                for region in (Region.SCRATCH, Region.OUTPUT)
            },
        }
    )
    outcome = Machine(config, memory).run(program.data, order=order)
    assert outcome.fault is None, outcome.fault
    return program.output(memory)


def without_classifier(integer: IntegerEncoder) -> IntegerEncoder:
    return dataclasses.replace(integer, golden=dataclasses.replace(integer.golden, classifier=()))


@pytest.mark.slow
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("classifier", [True, False])
def test_the_program_gives_what_the_encoder_gives(integer, lengths, classifier):
    integer = integer if classifier else without_classifier(integer)
    texts = some_texts(integer.golden, lengths)
    order = np.random.default_rng(len(lengths))
    assert np.array_equal(found(CONFIG, integer, texts, order=order), expected(CONFIG, integer, texts))


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [[33], [5, 12, 1]], ids=str)
def test_head_thresholds_keep_the_queries_of_a_text_together(integer, lengths):
    texts = some_texts(integer.golden, lengths)
    tau = 20.0
    scores = expected(CONFIG, integer, texts, tau)
    assert not np.array_equal(scores, expected(CONFIG, integer, texts)), "the threshold must prune a head"
    assert np.array_equal(found(CONFIG, integer, texts, tau=tau, order=np.random.default_rng(4)), scores)


@pytest.mark.slow
def test_first_tokens(integer):
    """What models with CLS pooling make their embeddings of."""
    integer = without_classifier(integer)
    texts = some_texts(integer.golden, [5, 13, 2])
    hidden = hidden_states(CONFIG, integer, texts)
    result = found(CONFIG, integer, texts, sums=False)
    assert result.dtype == np.int8
    assert np.array_equal(result, np.stack([each[:, 0] for each in hidden], axis=1))


@pytest.mark.slow
def test_packing_does_not_change_a_result(integer):
    texts = some_texts(integer.golden, [5, 13, 2])
    together = found(CONFIG, integer, texts)
    for i, text in enumerate(texts):
        assert np.array_equal(found(CONFIG, integer, [text])[:, 0], together[:, i])


@pytest.mark.slow
@pytest.mark.parametrize("weight_format", [None, WeightFormat.CSR, WeightFormat.BBS])
def test_formats(integer, weight_format):
    texts = some_texts(integer.golden, [9])
    result = found(CONFIG, integer, texts, weight_format=weight_format)
    assert np.array_equal(result, expected(CONFIG, integer, texts))


@pytest.mark.slow
@pytest.mark.parametrize("weight_format", [None, WeightFormat.CSR_DELTA, WeightFormat.BBS])
def test_weights_of_four_bits(default_model, weight_format):
    narrow = default_model.quantise(calibration_sentences()[:20], weight_bits=4)
    texts = some_texts(narrow.golden, [9])
    result = found(CONFIG, narrow, texts, weight_format=weight_format)
    assert np.array_equal(result, expected(CONFIG, narrow, texts))


def test_weights_of_four_bits_take_half_the_bytes(default_model, integer):
    narrow = default_model.quantise(calibration_sentences()[:4], weight_bits=4)
    sizes = []
    for each in (integer, narrow):
        constants = encoder_constants(CONFIG, each.golden)
        sizes.append(sum(size for name, _, size in constants.space.names if name.endswith(".weights")))
    assert sizes[1] < 0.55 * sizes[0]


def narrow_heads(integer: IntegerEncoder, heads: int) -> IntegerEncoder:
    """The same weights, cut into more heads."""
    return dataclasses.replace(integer, golden=dataclasses.replace(integer.golden, heads=heads))


@pytest.mark.slow
@pytest.mark.parametrize(("heads", "group"), [(2, 1), (8, 1), (8, 3), (32, 5)])
def test_groups_of_heads_and_heads_that_fill_no_word(integer, heads, group):
    integer = narrow_heads(integer, heads)
    texts = some_texts(integer.golden, [4, 7])
    assert np.array_equal(found(CONFIG, integer, texts, group=group), expected(CONFIG, integer, texts))


def test_what_does_not_fit_is_refused(integer):
    golden = integer.golden
    constants = encoder_constants(CONFIG, golden)
    commands = commands_of(CONFIG, integer)
    for lengths in ([], [0], [65], [3, 0]):
        with pytest.raises(InputError, match="from 1 to 64 tokens"):
            encoder_program(CONFIG, constants, lengths, commands)
    few = dataclasses.replace(CONFIG, spmm=dataclasses.replace(CONFIG.spmm, max_tokens=10))
    with pytest.raises(InputError, match="11 tokens together, but at most 10"):
        encoder_program(few, constants, [5, 6], commands)
    for unit, changes, message in (
        ("vector", {"max_channels": 127}, "must take 128 channels, but takes at most 127"),
        ("attention", {"max_head_dim": 32}, "heads have 64 dimensions"),
        ("spmm", {"max_columns": 511}, "512 columns, but the engine takes at most 65535 and 511"),
    ):
        small = dataclasses.replace(CONFIG, **{unit: dataclasses.replace(getattr(CONFIG, unit), **changes)})
        with pytest.raises(InputError, match=message):
            encoder_constants(small, golden)
    with pytest.raises(ConfigError, match="group=3"):
        encoder_constants(CONFIG, golden, group=3)
    with pytest.raises(InputError, match="more than 2 of 4"):
        encoder_constants(CONFIG, golden, weight_format=WeightFormat.NM)
    program = encoder_program(CONFIG, constants, [5, 6], commands)
    with pytest.raises(InputError, match=r"for texts of \[5, 6\] tokens, not of \[6, 5\]"):
        program.input(some_texts(golden, [6, 5]))


def test_the_listing_names_memory_and_instructions(integer):
    constants = encoder_constants(CONFIG, integer.golden)
    program = encoder_program(CONFIG, constants, [5, 6], commands_of(CONFIG, integer))
    text = listing(program, constants)
    for name in ("CONSTANTS: ", "layer 1.output.weights", "SCRATCH: ", "# layer 0 heads 1", "# classifier", "END"):
        assert name in text
    assert text.count("\n") > len(program.instructions) + len(constants.space.names)
    assert program.instructions[-1].opcode is Opcode.END
    products: Any = [(layer.projections, *layer.intermediate, layer.output) for layer in integer.golden.layers]
    kept = sum(np.count_nonzero(np.asarray(product.weights)) for layer in products for product in layer)
    assert 11 * kept < program.weight_macs < 11 * 1.3 * kept


def test_batches_of_the_model_fit(integer, default_model):
    """Token ids of the model are texts of the program."""
    tokens = as_batch([default_model.encode("a good film")])
    texts = integer.texts(default_model.encoder, tokens, None)
    assert np.array_equal(found(CONFIG, integer, texts), expected(CONFIG, integer, texts))


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [[9], [3, 17, 8, 1]], ids=str)
def test_embeddings_from_the_host(integer, lengths):
    """The host sends the rows of the tokens. Results are equal, and the memory is smaller by the tables."""
    texts = some_texts(integer.golden, lengths)
    from_memory, from_host = (found(CONFIG, integer, texts, host_embeddings=host) for host in (False, True))
    assert np.array_equal(from_memory, from_host)
    sizes = [len(encoder_constants(CONFIG, integer.golden, host_embeddings=host).data) for host in (False, True)]
    assert sizes[0] - sizes[1] == integer.golden.words.nbytes + integer.golden.places.nbytes
