"""Encoders with pruned weights."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from thresher.model import load_model
from thresher.model.pack import pack_model
from thresher.model.pruning.formats import FormatPattern
from thresher.model.pruning.layers import prune_encoder
from thresher.model.sparse_encoder import encoder_of_packed
from thresher.spec import InputError, WeightFormat, spmm_preset

CONFIG = spmm_preset("tiny")
IDS = np.array([[2, 4, 5, 3]])


def test_packed_weights_are_those_of_pruning(make_model):
    folder = make_model()
    encoder = load_model(folder).encoder
    packed = pack_model(folder, config=CONFIG, weight_format=WeightFormat.CSR, sparsity=0.5, method="magnitude")
    found = encoder_of_packed(encoder, packed)
    pattern = FormatPattern(config=CONFIG, weight_format=WeightFormat.CSR, sparsity=0.5)
    pruned = prune_encoder(encoder, pattern, method="magnitude")
    wanted = encoder.with_linears({name: each.linear for name, each in pruned.items()})
    for name, linear in found.linears().items():
        other = wanted.linears()[name].weight
        assert np.abs(linear.weight - other).max() <= np.abs(other).max() / 127 / 2 * 1.001
    assert found.logits(IDS) == pytest.approx(wanted.logits(IDS), abs=0.2)


def test_weights_of_another_model_are_refused(make_model):
    folder = make_model()
    encoder = load_model(folder).encoder
    packed = pack_model(folder, config=CONFIG, weight_format=WeightFormat.CSR, sparsity=0.5)
    name, matrix = next(iter(packed.matrices.items()))
    fewer = replace(packed, matrices={key: value for key, value in packed.matrices.items() if key != name})
    with pytest.raises(InputError, match=f"{name} is missing in the file"):
        encoder_of_packed(encoder, fewer)
    more = replace(packed, matrices={**packed.matrices, "head": matrix})
    with pytest.raises(InputError, match=r"head is .*missing in the model"):
        encoder_of_packed(encoder, more)
    other = copy(encoder)
    other.words = encoder.words + 1
    with pytest.raises(InputError, match="its embeddings or LayerNorms differ"):
        encoder_of_packed(other, packed)
