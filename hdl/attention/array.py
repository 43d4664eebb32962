"""PE array: block² · lanes INT8 multipliers that compute scores and P·V in turn."""

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.attention_config import AttentionConfig, Score
from ...spec.formats import INT8_BITS, signed_bits, unsigned_bits
from ..lib.arithmetic import AdderTree, masked_product
from ..lib.pipeline import delay, index_bits
from ..lib.scratchpad import ReadPort
from .selection.kept_blocks import kept_block_layout
from .softmax.pipelined import weight_block_layout
from .softmax.row_maximum import score_block_layout
from .split import Split

__all__ = ["PEArray", "accumulators_layout", "completed_layout", "operand_address_bits"]


def operand_address_bits(config: AttentionConfig) -> int:
    """Address bits of one operand's scratchpad: (chunk, block, slot) from the lowest bits up."""
    return index_bits(config.chunks) + index_bits(config.blocks) + 1


def accumulators_layout(config: AttentionConfig) -> data.StructLayout:
    """P·V of a block row for one chunk of ``lanes`` columns, without the background's share."""
    row = data.ArrayLayout(signed(config.accumulator_bits), config.lanes)
    return data.StructLayout(
        {"slot": 1, "chunk": index_bits(config.chunks), "accumulators": data.ArrayLayout(row, config.block)}
    )


def completed_layout(config: AttentionConfig) -> data.StructLayout:
    """A block row and chunk whose accumulators are complete after this cycle, if ``valid``."""
    return data.StructLayout({"valid": 1, "slot": 1, "chunk": index_bits(config.chunks)})


class PEArray(wiring.Component):
    """Multiplies whatever is ready, one step per cycle.

    A step either adds ``lanes`` terms to each score of a kept block, or multiplies the block's weights by ``lanes``
    columns of V. Weights have priority, because they free room for further scores in the softmax. Scores and outputs
    have separate accumulators, so both kinds of steps may alternate freely.

    The pipeline itself never stalls. After the last step of a pass of weights, the array uses no further weights until
    the accumulators are accepted. It computes scores meanwhile.

        i_blocks ──┬─ choose ── q, kv ── multipliers ─┬─ adder trees, score accumulators ── o_scores
        i_weights ─┘                                  └─ sums of keys, P·V accumulators ─── o_accumulators

    Members
    -------
    i_blocks : In(stream(kept_block_layout))
        Blocks to score, each in ceil(d / lanes) steps.
    i_weights : In(stream(weight_block_layout))
        Each takes one step.
    last_chunk : In(ArrayLayout(…, 2))
        ceil(d / lanes) − 1 of the head in each slot.
    available : In(1)
        Asserted while the softmax has room for another block of scores; i.e. a block may begin.
    reserve : Out(1)
        Strobe: reserves that room.
    q, kv : In(ReadPort)
        Blocks of Q at (chunk, block row, slot), of K and V at (chunk, key block, slot, is V).
    o_scores : Out(stream(score_block_layout))
        Must always be ready. This holds, because every block has a reservation.
    o_accumulators : Out(stream(accumulators_layout))
        In the order of the passes of weights.
    completed : Out(completed_layout)
        In the cycle before accumulators are offered.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        self._far = 0 if config.compact else 1
        rows = data.ArrayLayout(data.ArrayLayout(signed(INT8_BITS), config.lanes), config.block)
        bits = operand_address_bits(config)
        super().__init__(
            {
                "i_blocks": In(stream.Signature(kept_block_layout(config))),
                "i_weights": In(stream.Signature(weight_block_layout(config))),
                "last_chunk": In(data.ArrayLayout(unsigned_bits(config.chunks - 1), 2)),
                "available": In(1),
                "reserve": Out(1),
                "q": In(ReadPort(address_bits=bits, layout=rows)),
                "kv": In(ReadPort(address_bits=bits + 1, layout=rows)),
                "o_scores": Out(stream.Signature(score_block_layout(config))),
                "o_accumulators": Out(stream.Signature(accumulators_layout(config))),
                "completed": Out(completed_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Stages: 1, the registered step gives the addresses; 2, scratchpads; 3, register of their data; 4, operands;
        # 5, operand registers of the multiplier blocks; 6, products. Scratchpads and multipliers are far apart, so
        # stages 1, 3 and 5 are registers on the paths between them. Compact cores leave these three out.
        far = self._far
        tags = delay(m, self._choose(m), 3 * far + 3, enable=1, name="step")
        self._read(m, tags[far])
        q, kv = (delay(m, port.data, far, enable=1, name=name)[far] for name, port in (("q", self.q), ("kv", self.kv)))
        products = self._multiply(m, tags[2 * far + 1], q, kv)
        fractions = self._fraction_products(m, q, kv) if self._config.score is Score.APPROX else {}
        self._score(m, products, fractions, tags[-1])
        self._accumulate(m, products, tags[-1])
        return m

    def _sum(self, first: Value, new: Value, before: Value) -> Value:
        """``new`` plus ``before``, or ``new`` alone if ``first``.

        On iCE40, a choice behind the sum merges into the adder's LUTs.
        """
        return Mux(first, new, new + before) if self._config.compact else new + Mux(first, 0, before)

    def _step_layout(self) -> data.StructLayout:
        config = self._config
        return data.StructLayout(
            {
                "score": 1,
                "value": 1,
                "first": 1,
                "last": 1,
                "chunk": index_bits(config.chunks),
                "slot": 1,
                "key_block": index_bits(config.blocks),
                "block": kept_block_layout(config),
                "weights": weight_block_layout(config)["weights"].shape,
            }
        )

    def _choose(self, m: Module) -> Signal:
        """The step of this cycle: weights if there are any, otherwise scores."""
        config = self._config
        step = Signal(self._step_layout())
        chunk = Signal(index_bits(config.chunks))
        last_chunk = Signal.like(chunk)
        # High from the last step of a pass until its accumulators are accepted.
        holding = Signal()
        block, weights = self.i_blocks.payload, self.i_weights.payload
        m.d.comb += [
            last_chunk.eq(self.last_chunk[block.slot]),
            step.value.eq(self.i_weights.valid & ~holding),
            step.score.eq(self.i_blocks.valid & ~step.value & ((chunk != 0) | self.available)),
            step.block.eq(block),
            step.weights.eq(weights.weights),
            self.i_weights.ready.eq(~holding),
            self.i_blocks.ready.eq(step.score & step.last),
            self.reserve.eq(step.score & step.first),
        ]
        with m.If(step.value):
            m.d.comb += [
                step.first.eq(weights.first),
                step.last.eq(weights.last),
                step.chunk.eq(weights.chunk),
                step.slot.eq(weights.slot),
                step.key_block.eq(weights.key_block),
            ]
        with m.Else():
            m.d.comb += [
                step.first.eq(chunk == 0),
                step.last.eq(chunk == last_chunk),
                step.chunk.eq(chunk),
                step.slot.eq(block.slot),
                step.key_block.eq(block.key_block),
            ]
        with m.If(step.score):
            m.d.sync += chunk.eq(Mux(step.last, 0, chunk + 1))
        with m.If(step.value & step.last):
            m.d.sync += holding.eq(1)
        with m.If(self.o_accumulators.valid & self.o_accumulators.ready):
            m.d.sync += [holding.eq(0), self.o_accumulators.valid.eq(0)]
        return step

    def _read(self, m: Module, step) -> None:
        m.d.comb += [
            self.q.enable.eq(1),
            self.q.address.eq(Cat(step.chunk, step.block.row, step.slot)),
            self.kv.enable.eq(1),
            self.kv.address.eq(Cat(step.chunk, step.key_block, step.slot, step.value)),
        ]

    def _multiply(self, m: Module, step, q, kv) -> dict:
        """Operand and product registers, without reset, so that multiplier blocks can absorb them.

        Product (i, j, lane) is Q[i]·K[j] at that lane, or weight (i, j) times V[j] at that lane.
        """
        config = self._config
        b = config.block
        products = {}
        # Placement follows this order. A lane's multipliers share operands and sums, so they come together.
        for lane in range(config.lanes):
            for i in range(b):
                for j in range(b):
                    weight = step.weights[i][j]
                    left = Signal(signed(len(weight)), name=f"left_{i}_{j}_{lane}", reset_less=True)
                    right = Signal(signed(INT8_BITS), name=f"right_{i}_{j}_{lane}", reset_less=True)
                    product = Signal(signed(len(left) + len(right)), name=f"product_{i}_{j}_{lane}", reset_less=True)
                    m.d.sync += [left.eq(Mux(step.value, weight, q[i][lane])), right.eq(kv[j][lane])]
                    near = [delay(m, each, self._far, enable=1, name=each.name)[-1] for each in (left, right)]
                    m.d.sync += product.eq(near[0] * near[1])
                    products[i, j, lane] = product
        return products

    def _fraction_products(self, m: Module, q, k) -> dict:
        """qf·kf of every lane, in step with the products."""
        config = self._config
        fractions = {}
        for name, rows in (("q", q), ("k", k)):
            for i in range(config.block):
                split = Split(config, count=config.lanes)
                m.submodules[f"split_{name}_{i}"] = split
                registers = Signal(split.fraction.shape(), name=f"fraction_{name}_{i}", reset_less=True)
                m.d.comb += split.x.eq(rows[i])
                m.d.sync += registers.eq(split.fraction)
                fractions[name, i] = delay(m, registers, self._far, enable=1, name=f"fraction_{name}_{i}")[-1]
        products = {}
        for i in range(config.block):
            for j in range(config.block):
                for lane in range(config.lanes):
                    left, right = fractions["q", i][lane], fractions["k", j][lane]
                    product = Signal(signed(len(left) + len(right)), name=f"fraction_{i}_{j}_{lane}", reset_less=True)
                    m.d.sync += product.eq(masked_product(left, right))
                    products[i, j, lane] = product
        return products

    def _score(self, m: Module, products: dict, fractions: dict, step) -> None:
        """Sum the lanes by adder trees, and the chunks in accumulators."""
        config = self._config
        b, lanes = config.block, config.lanes
        peak = config.score_peak // config.max_head_dim
        width = signed_bits(-peak, peak)
        extra = 0
        if fractions:
            operands = {
                (i, j, lane): Signal(signed(width), name=f"approximate_{i}_{j}_{lane}") for i, j, lane in products
            }
            m.d.sync += [operands[place].eq(products[place] - fractions[place]) for place in products]
            extra = 1
        else:
            operands = products
        out = self.o_scores.payload
        latency = 0
        for i in range(b):
            for j in range(b):
                tree = AdderTree(count=lanes, width=width)
                m.submodules[f"tree_{i}_{j}"] = tree
                latency = tree.latency
                m.d.comb += tree.enable.eq(1)
                m.d.comb += [tree.operands[lane].eq(operands[i, j, lane]) for lane in range(lanes)]
        tag = delay(m, step, extra + latency, enable=1, name="score_step")[-1]
        done = Signal()
        for i in range(b):
            for j in range(b):
                score = out.scores[i][j]
                with m.If(tag.score):
                    m.d.sync += score.eq(self._sum(tag.first, m.submodules[f"tree_{i}_{j}"].total, score))
        m.d.sync += [
            done.eq(tag.score & tag.last),
            out.key_valid.eq(tag.block.key_valid),
            out.key_block.eq(tag.block.key_block),
            out.last.eq(tag.block.last),
        ]
        m.d.comb += self.o_scores.valid.eq(done)

    def _accumulate(self, m: Module, products: dict, step) -> None:
        """Sum the keys of a block, and accumulate the blocks of a pass."""
        config = self._config
        out = self.o_accumulators.payload
        tag = delay(m, step, 1, enable=1, name="value_step")[-1]
        for i in range(config.block):
            for lane in range(config.lanes):
                terms = [products[i, j, lane] for j in range(config.block)]
                total = sum(terms[1:], terms[0])
                keys = Signal(total.shape(), name=f"keys_{i}_{lane}", reset_less=True)
                accumulator = out.accumulators[i][lane]
                m.d.sync += keys.eq(total)
                with m.If(tag.value):
                    m.d.sync += accumulator.eq(self._sum(tag.first, keys, accumulator))
        m.d.comb += [
            self.completed.valid.eq(tag.value & tag.last),
            self.completed.slot.eq(tag.slot),
            self.completed.chunk.eq(tag.chunk),
        ]
        with m.If(self.completed.valid):
            m.d.sync += [self.o_accumulators.valid.eq(1), out.slot.eq(tag.slot), out.chunk.eq(tag.chunk)]
