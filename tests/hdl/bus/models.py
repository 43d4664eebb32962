"""Simple memories on a bus, in Amaranth's simulator."""

from collections import deque
from collections.abc import Collection
from random import Random
from typing import Any

from amaranth.lib import wiring
from thresher.hdl.bus.axi4 import Response

from .rules import Axi4Rules, WishboneRules
from .traffic import WORD


class _Memory:
    """Memory of a bus.

    Parameters
    ----------
    bus : interface
        Of the master.
    data : bytearray
        Contents; written in place.
    stall : float
        Probability, in each cycle, that a channel does not move.
    """

    def __init__(self, bus: Any, data: bytearray, *, stall: float = 0.0, seed: int = 0):
        self.bus, self.data, self.stall = bus, data, stall
        self.random = Random(f"{seed}/memory")
        self.inputs = [name for name, member in bus.signature.members.items() if member.flow is wiring.Out]

    def stalls(self) -> bool:
        return self.random.random() < self.stall

    def read(self, address: int) -> int:
        return int.from_bytes(self.data[address : address + WORD], "little")

    def write(self, address: int, word: int) -> None:
        self.data[address : address + WORD] = word.to_bytes(WORD, "little")


class Axi4Memory(_Memory):
    """Memory with an AXI4 port.

    Parameters
    ----------
    responses : dict
        By address of a word. A write has the response of its first word.
    """

    def __init__(self, bus: Any, data: bytearray, *, responses: dict[int, Response] | None = None, **settings: Any):
        super().__init__(bus, data, **settings)
        self.responses = responses or {}
        self.rules = Axi4Rules(f"settings {settings}")

    async def serve(self, ctx) -> None:
        beats: deque[tuple[int, int, int]] = deque()  # word, response, last
        answers: deque[int] = deque()
        addresses: deque[int] = deque()  # of words that are to be written
        words: deque[int] = deque()
        last: deque[int] = deque()  # words of each write
        offers: dict[str, Any] = {"r": None, "b": None}
        while True:
            driven = {f"{channel}ready": int(not self.stalls()) for channel in ("aw", "ar", "w")}
            for channel, queue in (("r", beats), ("b", answers)):
                if offers[channel] is None and queue and not self.stalls():
                    offers[channel] = queue.popleft()
                driven[f"{channel}valid"] = int(offers[channel] is not None)
            if offers["r"] is not None:
                driven |= dict(zip(("rdata", "rresp", "rlast"), offers["r"], strict=True))
            if offers["b"] is not None:
                driven["bresp"] = offers["b"]
            for name, value in driven.items():
                ctx.set(getattr(self.bus, name), value)
            _, _, *sampled = await ctx.tick().sample(*(getattr(self.bus, name) for name in self.inputs))
            now = dict(zip(self.inputs, sampled, strict=True)) | driven
            self.rules.observe(now)
            moved = {each for each in ("aw", "ar", "w", "r", "b") if now[f"{each}valid"] and now[f"{each}ready"]}
            for channel in moved & {"r", "b"}:
                offers[channel] = None
            if "ar" in moved:
                for i in range(now["arlen"] + 1):
                    address = now["araddr"] + WORD * i
                    response = self.responses.get(address, Response.OKAY)
                    beats.append((self.read(address), response, int(i == now["arlen"])))
            if "aw" in moved:
                addresses += [now["awaddr"] + WORD * i for i in range(now["awlen"] + 1)]
                last.append(now["awlen"] + 1)
            if "w" in moved:
                words.append(now["wdata"])
            while last and len(words) >= last[0]:
                answers.append(self.responses.get(addresses[0], Response.OKAY))
                for _ in range(last.popleft()):
                    self.write(addresses.popleft(), words.popleft())


class WishboneMemory(_Memory):
    """Memory with a Wishbone port and a registered ``ack``. It prepares the next word of a burst in advance.

    Parameters
    ----------
    errors : collection of int
        Addresses of words that it answers with ``err``.
    retry : float
        Probability of ``rty``.

    Attributes
    ----------
    writes : list of bool
        For each burst, or rest of one, whether it is a write.
    """

    def __init__(
        self,
        bus: Any,
        data: bytearray,
        *,
        burst: bool,
        errors: Collection[int] = (),
        retry: float = 0.0,
        **settings: Any,
    ):
        super().__init__(bus, data, **settings)
        self.errors, self.retry = frozenset(errors), retry
        self.rules = WishboneRules(f"settings {settings}", burst=burst)
        self.writes: list[bool] = []

    async def serve(self, ctx) -> None:
        answer, word, before = None, 0, 0
        while True:
            driven = {name: int(name == answer) for name in ("ack", "err", "rty")} | {"dat_r": word}
            for name, value in driven.items():
                ctx.set(getattr(self.bus, name), value)
            _, _, *sampled = await ctx.tick().sample(*(getattr(self.bus, name) for name in self.inputs))
            now = dict(zip(self.inputs, sampled, strict=True)) | driven
            self.rules.observe(now)
            if now["cyc"] and not before:
                self.writes.append(bool(now["we"]))
            before = now["cyc"]
            if now["stb"] and now["ack"] and now["we"]:
                self.write(WORD * now["adr"], now["dat_w"])
            following = answer == "ack" and now["cti"] == WishboneRules.INCREMENTING
            address = WORD * (now["adr"] + following)
            answer, word = None, self.random.getrandbits(64)
            if now["stb"] and (following or not (now["ack"] or now["err"] or now["rty"])) and not self.stalls():
                answer = self._answer(address)
                word = self.read(address) if answer == "ack" else word

    def _answer(self, address: int) -> str:
        if self.random.random() < self.retry:
            return "rty"
        return "err" if address in self.errors else "ack"
