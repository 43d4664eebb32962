"""Requests to a board and their answers. A request is sent again until its answer arrives, and is executed once."""

import time
from contextlib import AbstractContextManager

from ..spec.link import IDENTITY_BYTES, IDENTITY_PORT, VERSION, WRITES, LinkedConfig, Operation, identity, kind
from ..spec.presets import COPROCESSOR_PRESETS, POLICIES, PRESETS, SPMM_PRESETS, coprocessor_preset, preset
from .frames import Reply, ReplyReader, request
from .port import DeviceError, Port

__all__ = ["ATTEMPTS", "Link"]

ATTEMPTS = 5
"""Number of times that a request is sent before the host gives up. The wait for an answer doubles each time."""
FIRST_WAIT = 0.25
"""First wait in seconds, in addition to the time of the bytes on the line. It exceeds all pauses of hardware and
adapters."""
LONGEST_WAIT = 4.0
"""Longest wait in seconds."""
QUIET = 0.05
"""Seconds of silence after which no bytes of an earlier session can arrive."""
NOISY = 1.0
"""Seconds to wait for this silence before the line is used without it."""
LONGEST_PAYLOAD = 4095
"""Bytes of the longest payload of any link."""
UNITS = {0: "the attention core", 1: "the SpMM engine", 2: "the co-processor"}
"""Units by their number in an identity."""


class Link(AbstractContextManager["Link"]):
    """The host side of a link.

    Parameters
    ----------
    port : Port
        The link closes it.
    """

    def __init__(self, port: Port):
        self._port = port
        self._reader = ReplyReader(longest=LONGEST_PAYLOAD)
        self._sequence = 0
        self._wait = FIRST_WAIT
        self._answered = False
        self.longest_payload = IDENTITY_BYTES
        """Largest number of bytes that a request can write or read."""
        self._drain()

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def greet(self, config: LinkedConfig) -> None:
        """Check that the board holds this configuration, and reset it.

        Raises
        ------
        DeviceError
            The board does not answer, or holds another configuration.
        """
        found = self.read(IDENTITY_PORT, IDENTITY_BYTES)
        if len(found) != IDENTITY_BYTES or found[0] != VERSION:
            raise DeviceError(
                f"{self._port.name} uses another version of the link: use the Thresher that made its bitstream"
            )
        payload_bytes = int.from_bytes(found[2:4], "little")
        if found != identity(config, payload_bytes=payload_bytes):
            raise DeviceError(f"{self._port.name} holds {_difference(found, config, payload_bytes)}")
        self.longest_payload = payload_bytes - 1
        self.reset()

    def reset(self) -> None:
        """Reset the core and its streams to the power-up state.

        Raises
        ------
        DeviceError
            The board does not answer, or its port is gone. All other requests raise it too.
        """
        self._ask(Operation.RESET)

    def write(self, port: int, data: bytes, *, last: bool = False) -> int:
        """Write whole beats to a stream; ``last``: they end a packet. Return the number of bytes that it took."""
        return self._ask(Operation.WRITE_LAST if last else Operation.WRITE, port=port, payload=data).count

    def read(self, port: int, count: int) -> bytes:
        """Read whole beats of a stream, at most ``count`` bytes."""
        return self._ask(Operation.READ, port=port, count=count).payload

    def _ask(self, operation: Operation, *, port: int = 0, payload: bytes = b"", count: int = 0) -> Reply:
        self._sequence = (self._sequence + 1) % 256
        frame = request(self._sequence, operation, port=port, payload=payload, count=count)
        most = len(payload) if operation in WRITES else count
        on_line = 10 * (len(frame) + count + 16) / self._port.baud
        begun = time.monotonic()
        for attempt in range(ATTEMPTS):
            self._port.write(frame)
            deadline = time.monotonic() + on_line + min(self._wait * 2**attempt, LONGEST_WAIT)
            while (left := deadline - time.monotonic()) > 0:
                for reply in self._reader.feed(self._port.read(left)):
                    expected = (reply.sequence, reply.kind) == (self._sequence, kind(operation, port))
                    if expected and reply.count <= most:  # other answers belong to earlier requests
                        self._heard(time.monotonic() - begun)
                        return reply
            self._reader.clear()
        raise self._silent()

    def _silent(self) -> DeviceError:
        """Error after all attempts of a request without an answer."""
        where = f"{self._port.name} at {self._port.baud} baud"
        if not self._answered:
            return DeviceError(f"no answer from {where}: check --baud, and that the bitstream is loaded")
        return DeviceError(
            f"no more answers from {where} after {ATTEMPTS} attempts: reset the board, or use another cable or a "
            "bitstream with a slower --baud"
        )

    def _heard(self, seconds: float) -> None:
        """Note the time of an answer. If answers take long, as in a simulation, requests must not be repeated early."""
        self._answered = True
        self._wait = max(FIRST_WAIT, 2 * seconds)

    def _drain(self) -> None:
        """Discard the bytes that an earlier session has left on the line."""
        deadline = time.monotonic() + NOISY
        while time.monotonic() < deadline and self._port.read(QUIET):
            pass


def _known(payload_bytes: int) -> dict[bytes, str]:
    """Command-line options of all named configurations, by identity."""
    found = {
        identity(preset(name, policy=policy), payload_bytes=payload_bytes): f"--preset {name} --policy {policy}"
        for name in PRESETS
        for policy in POLICIES
    }
    found |= {
        identity(
            coprocessor_preset(name, policy=policy), payload_bytes=payload_bytes
        ): f"--unit coprocessor --preset {name} --policy {policy}"
        for name in COPROCESSOR_PRESETS
        for policy in POLICIES
    }
    return found | {
        identity(config, payload_bytes=payload_bytes): f"--unit spmm --preset {name}"
        for name, config in SPMM_PRESETS.items()
    }


def _difference(found: bytes, config: LinkedConfig, payload_bytes: int) -> str:
    """What the board holds instead of this configuration, and what to do."""
    wanted = identity(config, payload_bytes=payload_bytes)[1]
    if found[1] != wanted:
        return f"{UNITS.get(found[1], 'another unit')}: load a bitstream of {UNITS[wanted]}"
    options = _known(payload_bytes).get(found)
    if options is None:
        return f"configuration {found[4:8].hex()}…: give the options that its bitstream was made with, or load another"
    return f"the hardware of {options}: give these options, or load another bitstream"
