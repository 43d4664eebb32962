"""From a row's sum of weights to its reciprocal: the end of the softmax's work on a block row."""

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig, Normalise
from ....spec.formats import RECIPROCAL_FRACTION
from ...lib.pipeline import delay
from ...lib.streams import StreamFIFO
from .probability import Probability
from .reciprocal import Reciprocal, reciprocal_layout

__all__ = ["Denominator", "normaliser_row_layout", "row_sums_layout"]


def row_sums_layout(config: AttentionConfig) -> data.StructLayout:
    """Of each query row of a block row: the sum of its kept positions' weights, and the weight of a pruned one."""
    return data.StructLayout(
        {
            "sums": data.ArrayLayout(unsigned(config.denominator_bits), config.block),
            "background": data.ArrayLayout(unsigned(config.weight_bits), config.block),
            "pruned_keys": config.length_bits,
            "slot": 1,
        }
    )


def _per_query(config: AttentionConfig, *, background: bool) -> data.StructLayout:
    """Results of a block row: per query row mantissa and exponent of the reciprocal, and the background if wanted."""
    fields = {"background": config.weight_bits} if background else {}
    fields |= reciprocal_layout(config).members
    return data.StructLayout({name: data.ArrayLayout(width, config.block) for name, width in fields.items()})


def normaliser_row_layout(config: AttentionConfig) -> data.StructLayout:
    """What normalising a block row takes, per query row: the weight of a pruned position, and mantissa and exponent
    of the reciprocal of the row's denominator (``early``: 1 and weight_bits, as the weights are probabilities)."""
    return data.StructLayout({**_per_query(config, background=True).members, "slot": 1})


class Denominator(wiring.Component):
    """Adds the pruned positions to a block row's sums, takes the reciprocals, and queues what normalising needs.

    Works through the query rows one per cycle with one multiplier. Nothing stalls inside: whoever sends sums leaves
    ``block`` cycles between them, and counts the rows that the queues still hold (at most ``depth``).

    Parameters
    ----------
    config : AttentionConfig
    depth : int
        Block rows that each queue holds.

    Attributes
    ----------
    latency : int
        Cycles from the sums to the output.

    Members
    -------
    i : In(stream(row_sums_layout))
    o_rows : Out(stream(normaliser_row_layout))
    o_reciprocals : Out(stream({background, mantissa, exponent}))
        Only with ``early``: what turns the same block row's weights into probabilities.
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
            # A row with a result is known: its sums came first.
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
        """One query row per cycle: whether there is one, its denominator, and its background's weight."""
        config = self._config
        row = Signal(row_sums_layout(config))
        left = Signal(range(config.block + 1))
        # Registers that a multiplier block can take in.
        background = Signal(config.weight_bits, reset_less=True)
        pruned_keys = Signal(config.length_bits, reset_less=True)
        product = Signal(config.weight_bits + config.length_bits, reset_less=True)
        total, denominator = Signal(config.denominator_bits), Signal(config.denominator_bits)
        m.d.comb += self.i.ready.eq(left <= 1)
        with m.If(left != 0):
            m.d.sync += [
                left.eq(left - 1),
                Cat(row.sums).eq(Cat(row.sums) >> config.denominator_bits),
                Cat(row.background).eq(Cat(row.background) >> config.weight_bits),
            ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [row.eq(self.i.payload), left.eq(config.block)]
        m.d.sync += [
            background.eq(row.background[0]),
            pruned_keys.eq(row.pruned_keys),
            product.eq(background * pruned_keys),
            total.eq(delay(m, row.sums[0], 1, enable=1, name="sum")[1]),
            denominator.eq(total + product),
        ]
        valid = delay(m, left != 0, 3, enable=1, name="valid")[3]
        return valid, denominator, delay(m, background, 2, enable=1, name="background")[2]

    def _reciprocals(self, m: Module, valid, denominator, background):
        """One query row per cycle: whether there is one, its reciprocal, and with ``early`` the background's
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
        """Results of a block row side by side; ``finished`` when the last arrives."""
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
