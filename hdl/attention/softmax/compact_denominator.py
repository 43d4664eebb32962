"""From a query row's sum of weights to its reciprocal, with one adder for all products."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig
from ....spec.formats import RECIPROCAL_FRACTION, unsigned_bits
from ....spec.tables import reciprocal_table
from ...lib.arithmetic import look_up
from ...lib.pipeline import index_bits
from .reciprocal import reciprocal_layout

__all__ = ["SerialDenominator", "query_result_layout", "query_sum_layout"]


def query_sum_layout(config: AttentionConfig) -> data.StructLayout:
    """A query row's sum of kept weights, the weight of a pruned position, and the number of pruned keys."""
    return data.StructLayout(
        {
            "sum": config.denominator_bits,
            "background": config.weight_bits,
            "pruned_keys": config.length_bits,
            "slot": 1,
        }
    )


def query_result_layout(config: AttentionConfig) -> data.StructLayout:
    """Inputs of a query row's normalisation: the weight of a pruned position, and the reciprocal of the denominator.

    With ``early``, weights are probabilities already, so mantissa and exponent are 1 and weight_bits.
    """
    return data.StructLayout({"background": config.weight_bits, **reciprocal_layout(config).members, "slot": 1})


class SerialDenominator(wiring.Component):
    """Adds the pruned positions to a sum of weights and computes the reciprocal, one query row at a time.

    Products are formed bit by bit. The sum is shifted one place per cycle until its leading one is at the top.

    Attributes
    ----------
    latency : int
        Largest number of cycles from the sum to the result.

    Members
    -------
    i : In(stream(query_sum_layout))
        Accepted while no query row is in flight. The denominator must be at least weight_max.
    o : Out(stream(query_result_layout))
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        table = reciprocal_table(config.reciprocal_segments)
        self._segment_bits = index_bits(len(table))
        self._within_bits = RECIPROCAL_FRACTION - self._segment_bits
        self._offsets, self._drops = zip(*table, strict=True)
        self._rounds = max(self._within_bits, config.length_bits)
        self.latency = 2 * self._rounds + config.denominator_bits - config.weight_bits + 6
        super().__init__(
            {
                "i": In(stream.Signature(query_sum_layout(config))),
                "o": Out(stream.Signature(query_result_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        bits = config.denominator_bits
        number = Signal(bits)
        exponent = Signal(config.exponent_bits)
        background = Signal(config.weight_bits)
        slot = Signal()
        wants_offset = Signal()
        multiplicand = Signal(max(config.weight_bits, unsigned_bits(max(self._drops))))
        start, factor, product, done = self._multiplier(m, multiplicand)

        spare = bits - 1 - RECIPROCAL_FRACTION
        x = number[spare:-1] if spare >= 0 else Cat(Const(0, -spare), number[:-1])
        # One table for both, the drops before the offsets.
        found = Signal(unsigned_bits(max(self._offsets)), reset_less=True)
        m.d.sync += found.eq(look_up([*self._drops, *self._offsets], Cat(x[self._within_bits :], wants_offset)))
        out = self.o.payload
        m.d.comb += [
            out.mantissa.eq(found - product[self._within_bits :]),
            out.exponent.eq(exponent),
            out.background.eq(background),
            out.slot.eq(slot),
            multiplicand.eq(background),
            factor.eq(self.i.payload.pruned_keys),
        ]
        with m.FSM(name="denominator"):
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), start.eq(self.i.valid)]
                m.d.sync += [
                    number.eq(self.i.payload.sum),
                    background.eq(self.i.payload.background),
                    slot.eq(self.i.payload.slot),
                    exponent.eq(bits - 1),
                    wants_offset.eq(0),
                ]
                with m.If(self.i.valid):
                    m.next = "PRUNED"
            with m.State("PRUNED"), m.If(done):
                m.d.sync += number.eq(number + product)
                m.next = "SHIFT"
            with m.State("SHIFT"):
                with m.If(number[-1]):
                    m.next = "LOOK UP"
                with m.Else():
                    m.d.sync += [number.eq(number << 1), exponent.eq(exponent - 1)]
            with m.State("LOOK UP"):
                m.d.comb += [start.eq(1), factor.eq(x[: self._within_bits])]
                m.next = "LINE"
            with m.State("LINE"):
                m.d.comb += multiplicand.eq(found)
                with m.If(done):
                    m.d.sync += wants_offset.eq(1)
                    m.next = "OFFSET"
            with m.State("OFFSET"):
                m.next = "RESULT"
            with m.State("RESULT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m

    def _multiplier(self, m: Module, multiplicand: Signal):
        """Multiplicand times factor, lowest bit of the factor first. The sum shifts down into the factor's register."""
        rounds = self._rounds
        start = Signal()
        done = Signal()
        factor = Signal(rounds)
        low = Signal(rounds)
        high = Signal(len(multiplicand))
        left = Signal(range(rounds + 1))
        total = Signal(len(high) + 1)
        # The sum is always formed: iCE40 can merge the choice behind it into the adder's LUTs.
        m.d.comb += [total.eq(Mux(low[0], high + multiplicand, high)), done.eq(left == 0)]
        with m.If(start):
            m.d.sync += [left.eq(rounds), low.eq(factor), high.eq(0)]
        with m.Elif(~done):
            m.d.sync += [left.eq(left - 1), low.eq(Cat(low[1:], total[0])), high.eq(total >> 1)]
        return start, factor, Cat(low, high), done
