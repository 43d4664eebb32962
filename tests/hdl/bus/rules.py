"""Rules of the buses, checked cycle by cycle. They need no simulator of their own."""

from collections import deque
from collections.abc import Mapping
from typing import NoReturn

WORD = 8
PAGE = 0x1000


class Rules:
    """A master's side of a bus.

    Parameters
    ----------
    what : str
        Names the run in error messages.
    """

    def __init__(self, what: str):
        self.what = what
        self.cycle = 0

    def observe(self, now: Mapping[str, int]) -> None:
        """Check the values that the next clock edge samples, by the names of the signals without prefix.

        Raises
        ------
        AssertionError
            They break a rule.
        """
        self.check(now)
        self.cycle += 1

    def check(self, now: Mapping[str, int]) -> None:
        raise NotImplementedError

    def fail(self, rule: str) -> NoReturn:
        raise AssertionError(f"{self.what}, cycle {self.cycle}: {rule}")

    def demand(self, condition: bool, rule: str) -> None:
        if not condition:
            self.fail(rule)


class Axi4Rules(Rules):
    """Rules of an AXI4 master.

    Attributes
    ----------
    moved : dict of list of int
        Cycles of the transfers of each channel.
    """

    ADDRESS = ("addr", "len", "size", "burst", "id", "lock", "cache", "prot", "qos")
    WORD = ("data", "strb", "last")

    def __init__(self, what: str):
        super().__init__(what)
        self.moved: dict[str, list[int]] = {channel: [] for channel in ("aw", "w", "b", "ar", "r")}
        self._waiting: dict[str, tuple[int, ...]] = {}  # what a channel offers until it is ready
        self._lengths: deque[int] = deque()  # of writes whose address is offered, but not all words are
        self._words = 0

    def check(self, now: Mapping[str, int]) -> None:
        for channel, names, check in (
            ("aw", self.ADDRESS, self._check_write),
            ("ar", self.ADDRESS, self._check_burst),
            ("w", self.WORD, self._check_word),
        ):
            offer = tuple(now[f"{channel}{name}"] for name in names) if now[f"{channel}valid"] else None
            waiting = self._waiting.pop(channel, None)
            if waiting is not None:
                self.demand(offer == waiting, f"{channel} changed while it waited")
            elif offer is not None:
                check(*offer)
            if offer is not None and not now[f"{channel}ready"]:
                self._waiting[channel] = offer
        for channel, cycles in self.moved.items():
            if now[f"{channel}valid"] and now[f"{channel}ready"]:
                cycles.append(self.cycle)

    def _check_burst(self, address: int, length: int, size: int, burst: int, *attributes: int) -> None:
        self.demand(size == 3 and burst == 1, "this is no INCR burst of whole words")
        self.demand(address % WORD == 0, f"address {address:#x} is not aligned")
        self.demand(length < 16, f"{length + 1} words")
        self.demand(address % PAGE + WORD * (length + 1) <= PAGE, "a burst crosses 4 KB")
        self.demand(attributes == (0, 0, 0b0010, 0, 0), f"attributes are {attributes}")

    def _check_write(self, address: int, length: int, *rest: int) -> None:
        self._check_burst(address, length, *rest)
        self._lengths.append(length)

    def _check_word(self, word: int, strobe: int, last: int) -> None:
        self.demand(bool(self._lengths), "a word is offered before its address")
        self.demand(last == (self._words == self._lengths[0]), "wlast is wrong")
        self.demand(strobe == 0xFF, "a byte is not written")
        self._words += 1
        if last:
            self._lengths.popleft()
            self._words = 0


class WishboneRules(Rules):
    """Rules of a Wishbone master, with classic cycles or with bursts.

    Attributes
    ----------
    moved : list of int
        Cycles in which a word was acknowledged.
    """

    CLASSIC, INCREMENTING, END = 0b000, 0b010, 0b111
    SIGNALS = ("cyc", "stb", "we", "adr", "dat_w", "cti", "ack", "err", "rty")

    def __init__(self, what: str, *, burst: bool):
        super().__init__(what)
        self._types = {self.INCREMENTING, self.END} if burst else {self.CLASSIC}
        self._before: dict[str, int] = {"stb": 0}
        self.moved: list[int] = []

    def check(self, now: Mapping[str, int]) -> None:
        self.demand(now["stb"] == now["cyc"], "stb and cyc differ")
        if now["stb"]:
            self.demand(now["sel"] == 0xFF, "a byte is not selected")
            self.demand(now["cti"] in self._types and now["bte"] == 0, f"cti is {now['cti']}, bte {now['bte']}")
            self.demand(now["ack"] + now["err"] + now["rty"] <= 1, "more than one answer")
            if now["ack"]:
                self.moved.append(self.cycle)
        if self._before["stb"]:
            self._check_next(self._before, now)
        self._before = {name: now[name] for name in self.SIGNALS}

    def _check_next(self, before: Mapping[str, int], now: Mapping[str, int]) -> None:
        """Check what follows a cycle with a word."""
        if before["err"] or before["rty"]:
            self.demand(not now["cyc"], "no pause after err or rty")
            return
        if not before["ack"]:
            for name in ("cyc", "we", "adr", "cti", *(["dat_w"] if before["we"] else [])):
                self.demand(now[name] == before[name], f"{name} changed while it waited")
            return
        if before["cti"] == self.END:
            self.demand(not now["cyc"], "a burst goes on after its last word")
        elif before["cti"] == self.INCREMENTING:
            self.demand(bool(now["cyc"]), "a burst ends without notice")
        if now["cyc"]:
            self.demand(now["we"] == before["we"], "we changes within a burst")
            self.demand(now["adr"] == before["adr"] + 1, "the address is not the next one")
