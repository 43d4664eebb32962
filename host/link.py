"""Requests and their answers: sent again until one comes, done once."""

import time
from typing import Self

from ..spec.attention_config import AttentionConfig
from ..spec.link import IDENTITY_BYTES, IDENTITY_PORT, VERSION, Operation, identity, kind
from ..spec.presets import POLICIES, PRESETS, SPMM_PRESETS, preset
from ..spec.spmm_config import SpmmConfig
from .frames import Reply, ReplyReader, request
from .port import DeviceError, Port

__all__ = ["ATTEMPTS", "Link"]

ATTEMPTS = 5
"""Times that a request is sent before the board counts as gone; each is waited for twice as long as the one before."""
FIRST_WAIT = 0.25
"""Seconds, beside those that the bytes take on the line: far more than any pause of hardware or adapter."""
LONGEST_WAIT = 4.0
QUIET = 0.05
"""Nothing comes from an earlier session after so many seconds of silence."""
NOISY = 1.0
"""A line that does not fall silent for so long is used as it is."""
LONGEST_PAYLOAD = 4095
UNITS = {0: "the attention core", 1: "the SpMM engine"}
"""By the number in an identity."""


class Link:
    """A host's end of a link.

    Parameters
    ----------
    port : Port
        Closed with the link.
    """

    def __init__(self, port: Port):
        self._port = port
        self._reader = ReplyReader(longest=LONGEST_PAYLOAD)
        self._sequence = 0
        self._wait = FIRST_WAIT
        self._answered = False
        self.longest_payload = IDENTITY_BYTES
        """Bytes that one request writes or reads at most."""
        self._drain()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._port.close()

    def greet(self, config: AttentionConfig | SpmmConfig) -> None:
        """See that the board holds this configuration, and reset it.

        Raises
        ------
        DeviceError
            It does not answer, or holds another.
        """
        found = self.read(IDENTITY_PORT, IDENTITY_BYTES)
        if len(found) != IDENTITY_BYTES or found[0] != VERSION:
            raise DeviceError(
                f"{self._port.name} speaks another version of the link: use the thresher that made its bitstream"
            )
        payload_bytes = int.from_bytes(found[2:4], "little")
        if found != identity(config, payload_bytes=payload_bytes):
            raise DeviceError(f"{self._port.name} holds {_told(found, config, payload_bytes)}")
        self.longest_payload = payload_bytes - 1
        self.reset()

    def reset(self) -> None:
        """Bring the core, and what waits for it, to the state after power-up.

        Raises
        ------
        DeviceError
            The board does not answer, or its port is gone; so do all other requests.
        """
        self._ask(Operation.RESET)

    def write(self, port: int, data: bytes) -> int:
        """Write beats to a stream; how many bytes of them it took."""
        return self._ask(Operation.WRITE, port=port, payload=data).count

    def read(self, port: int, count: int) -> bytes:
        """Read up to so many bytes of beats of a stream."""
        return self._ask(Operation.READ, port=port, count=count).payload

    def _ask(self, operation: Operation, *, port: int = 0, payload: bytes = b"", count: int = 0) -> Reply:
        self._sequence = (self._sequence + 1) % 256
        frame = request(self._sequence, operation, port=port, payload=payload, count=count)
        most = len(payload) if operation is Operation.WRITE else count
        on_line = 10 * (len(frame) + count + 16) / self._port.baud
        begun = time.monotonic()
        for attempt in range(ATTEMPTS):
            self._port.write(frame)
            deadline = time.monotonic() + on_line + min(self._wait * 2**attempt, LONGEST_WAIT)
            while (left := deadline - time.monotonic()) > 0:
                for reply in self._reader.feed(self._port.read(left)):
                    expected = (reply.sequence, reply.kind) == (self._sequence, kind(operation, port))
                    if expected and reply.count <= most:  # others answer an earlier copy of an earlier request
                        self._heard(time.monotonic() - begun)
                        return reply
            self._reader.clear()
        raise self._silent()

    def _silent(self) -> DeviceError:
        """All copies of a request stayed without an answer."""
        where = f"{self._port.name} at {self._port.baud} baud"
        if not self._answered:
            return DeviceError(f"no answer from {where}: check --baud, and that the bitstream is loaded")
        told = f"no answer any more from {where}, asked {ATTEMPTS} times: the line loses too much"
        return DeviceError(f"{told} (another cable, or a bitstream with a slower --baud), or the board was reset")

    def _heard(self, seconds: float) -> None:
        """Wait longer where answers take long, as those of a simulation: copies sent too early would pile up."""
        self._answered = True
        self._wait = max(FIRST_WAIT, 2 * seconds)

    def _drain(self) -> None:
        """Forget what an earlier session left on the line."""
        deadline = time.monotonic() + NOISY
        while time.monotonic() < deadline and self._port.read(QUIET):
            pass


def _known(payload_bytes: int) -> dict[bytes, str]:
    """Command-line options of the configurations that have a name, by identity."""
    found = {
        identity(preset(name, policy=policy), payload_bytes=payload_bytes): f"--preset {name} --policy {policy}"
        for name in PRESETS
        for policy in POLICIES
    }
    return found | {
        identity(config, payload_bytes=payload_bytes): f"--unit spmm --preset {name}"
        for name, config in SPMM_PRESETS.items()
    }


def _told(found: bytes, config: AttentionConfig | SpmmConfig, payload_bytes: int) -> str:
    """What a board holds that is not this configuration, and what to do."""
    wanted = identity(config, payload_bytes=payload_bytes)[1]
    if found[1] != wanted:
        return f"{UNITS.get(found[1], 'another unit')}: load a bitstream of {UNITS[wanted]}"
    options = _known(payload_bytes).get(found)
    if options is None:
        return f"configuration {found[4:8].hex()}…: give the options that its bitstream was made with, or load another"
    return f"the hardware of {options}: give these options, or load another bitstream"
