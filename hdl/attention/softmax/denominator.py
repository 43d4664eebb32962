"""From the sums of weights of a block row to their reciprocals."""

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig, Fill, Normalise
from ....spec.formats import RECIPROCAL_FRACTION
from ...lib.pipeline import delay
from ...lib.streams import StreamFIFO
from ..selection.block_select import pruned_keys_layout
from .probability import Probability
from .reciprocal import Reciprocal, reciprocal_layout

__all__ = ["Denominator", "normaliser_row_layout", "row_sums_layout"]


def row_sums_layout(config: AttentionConfig) -> data.StructLayout:
    """A block row: per query row the sum of its kept weights and the weight of a pruned position."""
    return data.StructLayout(
        {
            "sums": data.ArrayLayout(unsigned(config.denominator_bits), config.block),
            "background": data.ArrayLayout(unsigned(config.weight_bits), config.block),
            "pruned_keys": pruned_keys_layout(config),
            "slot": 1,
        }
    )


def _per_query(config: AttentionConfig, *, background: bool) -> data.StructLayout:
    """Results of a block row: per query row the reciprocal, and the background if requested."""
    fields = {"background": config.weight_bits} if background else {}
    fields |= reciprocal_layout(config).members
    return data.StructLayout({name: data.ArrayLayout(width, config.block) for name, width in fields.items()})


def normaliser_row_layout(config: AttentionConfig) -> data.StructLayout:
    """Inputs of a block row's normalisation: per query row the weight of a pruned position, and the reciprocal.

    With ``early``, weights are probabilities already, so mantissa and exponent are 1 and weight_bits.
    """
    return data.StructLayout({**_per_query(config, background=True).members, "slot": 1})


class Denominator(wiring.Component):
    """Adds the pruned positions to a block row's sums, computes the reciprocals, and queues the results.

    One query row per cycle passes through one multiplier. The pipeline never stalls: the sender must leave ``block``
    cycles between block rows, and must limit the rows in the queues to ``depth``.

    Parameters
    ----------
    config : AttentionConfig
    depth : int
        Capacity of each queue, in block rows.

    Attributes
    ----------
    latency : int
        Cycles from the sums to the output.

    Members
    -------
    i : In(stream(row_sums_layout))
    o_rows : Out(stream(normaliser_row_layout))
    o_reciprocals : Out(stream({background, mantissa, exponent}))
        Only with ``early``: the factors that turn the block row's weights into probabilities.
    finished : Out(1)
        Strobe: a block row enters the output queues.
    """

    def __init__(self, config: AttentionConfig, *, depth: int):
        self._config = config
        self._depth = depth
        self._early = config.normalise is Normalise.EARLY
        self._reciprocal = Reciprocal(config)
        self.latency = config.block + 4 + self._reciprocal.latency + (Probability.latency if self._early else 0)
        members = {
            "i": In(stream.Signature(row_sums_layout(config))),
            "o_rows": Out(stream.Signature(normaliser_row_layout(config))),
            "finished": Out(1),
        }
        if self._early:
            members["o_reciprocals"] = Out(stream.Signature(_per_query(config, background=True)))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.reciprocal = self._reciprocal
        rows = self._collect(m, *self._reciprocals(m, *self._denominators(m)))
        known = StreamFIFO(
            data.StructLayout({"background": self.i.payload.background.shape(), "slot": 1}), depth=self._depth
        )
        m.submodules.known = known
        m.submodules.results = results = StreamFIFO(rows.shape(), depth=self._depth)
        out = self.o_rows.payload
        m.d.comb += [
            known.i.valid.eq(self.i.valid),
            known.i.payload.background.eq(self.i.payload.background),
            known.i.payload.slot.eq(self.i.payload.slot),
            results.i.valid.eq(self.finished),
            results.i.payload.eq(rows),
            # If a row has a result, its entry in ``known`` exists: its sums arrived first.
            self.o_rows.valid.eq(results.o.valid),
            results.o.ready.eq(self.o_rows.ready),
            known.o.ready.eq(self.o_rows.ready & results.o.valid),
            out.slot.eq(known.o.payload.slot),
        ]
        if self._early:
            m.submodules.reciprocals = reciprocals = StreamFIFO(rows.shape(), depth=self._depth)
            wiring.connect(m, reciprocals.o, wiring.flipped(self.o_reciprocals))
            m.d.comb += [
                reciprocals.i.valid.eq(self.finished),
                reciprocals.i.payload.eq(rows),
                out.background.eq(results.o.payload.background),
            ]
            m.d.comb += [mantissa.eq(1 << RECIPROCAL_FRACTION) for mantissa in out.mantissa]
            m.d.comb += [exponent.eq(self._config.weight_bits) for exponent in out.exponent]
        else:
            m.d.comb += [
                out.background.eq(known.o.payload.background),
                out.mantissa.eq(results.o.payload.mantissa),
                out.exponent.eq(results.o.payload.exponent),
            ]
        return m

    def _denominators(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """One query row per cycle: whether it is valid, its denominator, and its background weight."""
        config = self._config
        row = Signal(row_sums_layout(config))
        left = Signal(range(config.block + 1))
        # These registers have no reset, so that multiplier blocks can absorb them.
        background = Signal(config.weight_bits, reset_less=True)
        pruned_keys = Signal(config.length_bits, reset_less=True)
        product = Signal(config.weight_bits + config.length_bits, reset_less=True)
        total = Signal(config.denominator_bits)
        denominator = Signal(config.denominator_bits)
        m.d.comb += self.i.ready.eq(left <= 1)
        with m.If(left != 0):
            m.d.sync += [
                left.eq(left - 1),
                Cat(row.sums).eq(Cat(row.sums) >> config.denominator_bits),
                Cat(row.background).eq(Cat(row.background) >> config.weight_bits),
            ]
            if config.causal:
                m.d.sync += Cat(row.pruned_keys).eq(Cat(row.pruned_keys) >> config.length_bits)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [row.eq(self.i.payload), left.eq(config.block)]
        m.d.sync += [
            background.eq(row.background[0]),
            pruned_keys.eq(row.pruned_keys[0]),
            product.eq(background * pruned_keys),
            total.eq(delay(m, row.sums[0], 1, enable=1, name="sum")[1]),
            denominator.eq(total + product),
        ]
        if config.causal and config.fill is Fill.SKIP:
            # A query may see no kept key.
            with m.If(total == 0):
                m.d.sync += denominator.eq(config.weight_max)
        valid = delay(m, left != 0, 3, enable=1, name="valid")[3]
        return valid, denominator, delay(m, background, 2, enable=1, name="background")[2]

    def _reciprocals(self, m: Module, valid, denominator, background):
        """One query row per cycle: whether it is valid, its reciprocal and, with ``early``, the background's
        probability."""
        reciprocal = self._reciprocal
        m.d.comb += [
            reciprocal.i.valid.eq(valid),
            reciprocal.i.payload.denominator.eq(denominator),
            reciprocal.o.ready.eq(1),
        ]
        found = {name: reciprocal.o.payload[name] for name in ("mantissa", "exponent")}
        if not self._early:
            return reciprocal.o.valid, found
        m.submodules.probability = probability = Probability(self._config, 1)
        m.d.comb += [
            probability.enable.eq(1),
            probability.weight[0].eq(delay(m, background, reciprocal.latency, enable=1, name="weight")[-1]),
            probability.mantissa.eq(found["mantissa"]),
            probability.exponent.eq(found["exponent"]),
        ]
        found = {name: delay(m, value, probability.latency, enable=1, name=name)[-1] for name, value in found.items()}
        valid = delay(m, reciprocal.o.valid, probability.latency, enable=1, name="found")[-1]
        return valid, {"background": probability.probability[0], **found}

    def _collect(self, m: Module, valid, found):
        """Collect the results of a block row. ``finished`` is asserted with the last one."""
        rows = Signal(_per_query(self._config, background=self._early))
        count = Signal(range(self._config.block))
        for name, value in found.items():
            held = Signal.like(Cat(rows[name]), name=f"held_{name}")
            with m.If(valid):
                m.d.sync += held.eq(Cat(rows[name]))
            m.d.comb += Cat(rows[name]).eq(Cat(held, value)[len(value) :])
        with m.If(valid):
            m.d.sync += count.eq(count + 1)
        m.d.comb += self.finished.eq(valid & (count == self._config.block - 1))
        return rows
