"""The vector unit: residual sum and LayerNorm of INT8 tokens."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import connect, flipped

from ...spec.formats import CYCLE_BITS, unsigned_bits
from ...spec.vector_command import VectorError
from ...spec.vector_config import VectorConfig
from ..lib.arithmetic import popcount
from ..lib.packets import PacketReceiver, fault_layout, framed_layout, packet_error
from ..lib.pipeline import delay
from ..lib.streams import SkidBuffer, StreamFIFO
from .layer_norm import ACCUMULATE, BIAS, GAIN, LATENCY, SELECT, SHIFTS, LayerNormLane
from .parameters import READ_CYCLES, ParameterMemory
from .reciprocal_root import ReciprocalRoots
from .vector_streams import tokens_layout, vector_signature
from .walk import Walk

__all__ = ["VectorUnit"]

RESULTS_AHEAD = LATENCY + 5
"""Beats in the pipeline or waiting at the output. This many hide the pipeline's latency."""


class VectorUnit(wiring.Component):
    """z = LayerNorm((x << x_shift) + (y << y_shift)), one command after another.

    Lanes are tokens. Each group of ``lanes`` tokens passes twice: first the lanes sum over the channels, then they
    compute the results. Between the passes, one shared unit computes the reciprocal roots.

    Parameters
    ----------
    config : VectorConfig

    Members
    -------
    i_command : In(stream(command_layout))
        Accepted after the statistics and the packets of the command before.
    i_parameters : In(stream(framed_layout(parameters_layout)))
        A packet of C beats per command.
    i_x, i_y : In(stream(framed_layout(tokens_layout)))
        A packet per command, with 2·C beats per group. A beat may be accepted before the command.
    o_data : Out(stream(tokens_layout))
        C beats per group.
    last : Out(1)
        Asserted with the last payload of ``o_data`` of a command.
    o_statistics : Out(stream(statistics_layout))
        One per command. A rejected command has no results.
    """

    def __init__(self, config: VectorConfig):
        self.config = config
        super().__init__(vector_signature(config))

    def elaborate(self, platform):
        config = self.config
        m = Module()
        m.submodules.walk = walk = Walk(config, results_ahead=RESULTS_AHEAD)
        m.submodules.parameters = parameters = ParameterMemory(config)
        m.submodules.roots = roots = ReciprocalRoots(config)
        command = Signal.like(self.i_command.payload)
        x, y = (self._operand(m, name) for name in ("x", "y"))
        connect(m, flipped(self.i_parameters), parameters.i_parameters)
        m.d.comb += [
            walk.channels.eq(command.channels),
            walk.tokens.eq(command.tokens),
            walk.stored.eq(parameters.stored),
            walk.roots_done.eq(roots.done),
            parameters.load.eq(walk.begin),
            parameters.channels.eq(command.channels),
            roots.channels.eq(command.channels),
            roots.epsilon.eq(command.epsilon),
        ]
        finished, clipped = self._compute(m, x, y, command, walk, parameters, roots)
        fault = self._fault(m, x, y, walk, parameters)
        self._control(m, command, walk, finished, clipped, fault, packets=(x, y, parameters))
        return m

    def _operand(self, m: Module, name: str) -> PacketReceiver:
        """Packets of x or y. The buffer lets one of them wait for the other without a path between their streams."""
        layout = tokens_layout(self.config)
        m.submodules[f"{name}_buffer"] = held = SkidBuffer(framed_layout(layout))
        m.submodules[f"{name}_packet"] = packet = PacketReceiver(layout)
        connect(m, flipped(getattr(self, f"i_{name}")), held.i)
        connect(m, held.o, packet.i)
        return packet

    def _fault(self, m: Module, x: PacketReceiver, y: PacketReceiver, walk: Walk, parameters: ParameterMemory):
        """What is wrong with the packets of a command, since it began."""
        fault = Signal(fault_layout())
        with m.If(walk.begin):
            m.d.sync += fault.eq(0)
        for name in fault.shape().members:
            with m.If(Cat(packet.fault[name] for packet in (x, y, parameters)).any()):
                m.d.sync += fault[name].eq(1)
        return fault

    def _compute(
        self,
        m: Module,
        x: PacketReceiver,
        y: PacketReceiver,
        command,
        walk: Walk,
        parameters: ParameterMemory,
        roots: ReciprocalRoots,
    ):
        """Take operands and lead them through the lanes.

        Returns whether the last result of a command leaves, and which results of this cycle are clipped.
        """
        take = Signal()
        m.d.comb += [
            take.eq(walk.go & x.o.valid & y.o.valid),
            walk.taken.eq(take),
            *(each.o.ready.eq(take) for each in (x, y)),
            *(each.final.eq(walk.final) for each in (x, y)),
        ]
        firsts = delay(m, take & ~walk.second, ACCUMULATE + 1, enable=1, name="first")
        clears = delay(m, walk.clear, ACCUMULATE, enable=1, name="clear")
        seconds = delay(m, take & walk.second, LATENCY, enable=1, name="second")
        lasts = delay(m, walk.last, GAIN, enable=1, name="last")
        finals = delay(m, walk.final, LATENCY, enable=1, name="final")
        # The second pass counts its channels again where it needs the scales.
        at = GAIN - READ_CYCLES
        scales_channel = Signal.like(parameters.scales_channel)
        with m.If(seconds[at]):
            m.d.sync += scales_channel.eq(Mux(lasts[at], 0, scales_channel + 1))
        assert SHIFTS == READ_CYCLES
        m.d.comb += [
            parameters.shifts_channel.eq(walk.channel),
            parameters.scales_channel.eq(scales_channel),
            roots.start.eq(firsts[ACCUMULATE + 1] & lasts[ACCUMULATE + 1]),
        ]
        # The results of a group have left the lanes before the next group gets its roots and its number of tokens.
        assert ACCUMULATE + roots.latency > LATENCY
        shared = {
            "x_shift": parameters.shifts.x_shift,
            "y_shift": parameters.shifts.y_shift,
            "gain": parameters.scales.gain,
            "bias": delay(m, parameters.scales.bias, BIAS - GAIN, enable=1, name="bias")[-1],
            "second": seconds[SELECT],
            "first": firsts[ACCUMULATE],
            "clear": clears[ACCUMULATE],
            "channels": command.channels,
            "shift": command.shift,
        }
        result, clipped = self._lanes(m, x, y, shared, walk, roots)
        return self._queue(m, walk, seconds[LATENCY], finals[LATENCY], result), Mux(seconds[LATENCY], clipped, 0)

    def _lanes(
        self,
        m: Module,
        x: PacketReceiver,
        y: PacketReceiver,
        shared: dict[str, Value],
        walk: Walk,
        roots: ReciprocalRoots,
    ):
        """The lanes. Returns their results, and which are clipped."""
        result = Signal(tokens_layout(self.config))
        clipped = Signal(self.config.lanes)
        for i in range(self.config.lanes):
            m.submodules[f"lane_{i}"] = lane = LayerNormLane(self.config)
            m.d.comb += [getattr(lane, name).eq(value) for name, value in shared.items()]
            m.d.comb += [
                lane.x.eq(x.o.payload[i]),
                lane.y.eq(y.o.payload[i]),
                lane.root.eq(roots.roots[i]),
                lane.present.eq(walk.present[i]),
                roots.totals[i].eq(lane.total),
                roots.squares[i].eq(lane.squares),
                result[i].eq(lane.result),
                clipped[i].eq(lane.saturated),
            ]
        return result, clipped

    def _queue(self, m: Module, walk: Walk, valid: Signal, final: Signal, result) -> Signal:
        """Queue of results. Returns whether the last one of a command leaves."""
        beat = data.StructLayout({"values": tokens_layout(self.config), "final": 1})
        m.submodules.results = results = StreamFIFO(beat, depth=RESULTS_AHEAD, counted=True)
        finished = Signal()
        m.d.comb += [
            results.i.valid.eq(valid),
            results.i.payload.values.eq(result),
            results.i.payload.final.eq(final),
            self.o_data.valid.eq(results.o.valid),
            self.o_data.payload.eq(results.o.payload.values),
            self.last.eq(results.o.payload.final),
            results.o.ready.eq(self.o_data.ready),
            walk.left.eq(results.o.valid & results.o.ready),
            finished.eq(walk.left & results.o.payload.final),
        ]
        return finished

    def _control(self, m: Module, command, walk: Walk, finished: Signal, clipped: Value, fault, *, packets) -> None:
        """Accept a command, check it, and send its statistics when its last result has left.

        The packets of a rejected command are dropped.
        """
        config, statistics = self.config, self.o_statistics
        cycles = Signal(CYCLE_BITS)
        clipped_now = Signal(unsigned_bits(config.lanes))
        saturations = Signal.like(statistics.payload.saturations)
        error = Signal.like(statistics.payload.error)
        wrong = {
            VectorError.CHANNELS: (command.channels == 0) | (command.channels > config.max_channels),
            VectorError.TOKENS: (command.tokens == 0) | (command.tokens > config.max_tokens),
        }
        reason = VectorError.NONE
        for value, refused in reversed(wrong.items()):
            reason = Mux(refused, value, reason)
        m.d.comb += error.eq(reason)
        m.d.sync += [
            cycles.eq(cycles + 1),
            clipped_now.eq(popcount(clipped)),
            saturations.eq(saturations + clipped_now),
        ]
        with m.If(statistics.ready):
            m.d.sync += statistics.valid.eq(0)
        with m.FSM(name="unit"):
            with m.State("IDLE"):
                busy = Cat(statistics.valid, *(packet.dropping for packet in packets)).any()
                m.d.comb += self.i_command.ready.eq(~busy)
                m.d.sync += [cycles.eq(1), saturations.eq(0), command.eq(self.i_command.payload)]
                with m.If(self.i_command.valid & self.i_command.ready):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += statistics.payload.error.eq(error)
                m.d.comb += walk.begin.eq(error == VectorError.NONE)
                with m.If(error == VectorError.NONE):
                    m.next = "RUN"
                with m.Else():
                    m.d.comb += [packet.drop.eq(1) for packet in packets]
                    m.d.sync += [statistics.valid.eq(1), statistics.payload.saturations.eq(0)]
                    m.d.sync += statistics.payload.cycles.eq(cycles)
                    m.next = "IDLE"
            with m.State("RUN"), m.If(finished):
                m.d.sync += statistics.payload.cycles.eq(cycles)
                m.next = "TELL"
            # The clipped results are counted two cycles after they enter the queue; the last ones leave it one cycle
            # after they enter.
            with m.State("TELL"):
                m.d.sync += [statistics.valid.eq(1), statistics.payload.saturations.eq(saturations)]
                m.d.sync += statistics.payload.error.eq(packet_error(error, fault, VectorError))
                m.next = "IDLE"
