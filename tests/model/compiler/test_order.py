"""Order of the products of a layer."""

from itertools import pairwise

import pytest
from thresher.model.compiler.order import Piece, Stage, pieces, stages

PRODUCTS = (Stage.QUERIES, Stage.ATTENTION_OUTPUT, Stage.INTERMEDIATE, Stage.OUTPUT)


@pytest.mark.parametrize("tiles", range(1, 20))
def test_every_tile_passes_all_stages_in_order(tiles):
    order = stages(tiles)
    assert len(set(order)) == len(order) == len(Stage) * tiles
    for tile in range(tiles):
        assert [stage for stage, number in order if number == tile] == list(Stage)
    for stage in Stage:
        assert [number for each, number in order if each is stage] == list(range(tiles))


@pytest.mark.parametrize("tiles", [2, 4, 5, 16])
def test_another_product_runs_between_two_stages_of_a_tile(tiles):
    products = [each for each in stages(tiles) if each[0] in PRODUCTS]
    assert all(a[1] != b[1] for a, b in pairwise(products))


@pytest.mark.parametrize("tiles", [2, 3, 9])
def test_all_heads_that_a_tile_may_need_come_before_it(tiles):
    """A piece ends in the tile in which it begins, or in the next one."""
    order = stages(tiles)
    for tile in range(tiles):
        assert order.index((Stage.QUERIES, min(tile + 1, tiles - 1))) < order.index((Stage.CONTEXT, tile))


def test_pieces_are_counted_from_the_first_token_of_their_text():
    first = Piece(start=0, end=5, text=0, length=5)
    assert pieces([5, 11], 8, whole=False) == [
        first,
        Piece(start=5, end=13, text=5, length=11),
        Piece(start=13, end=16, text=5, length=11),
    ]
    assert pieces([5, 11], 8, whole=True) == [first, Piece(start=5, end=16, text=5, length=11)]
