"""The hardware side of the link: its answers, and its recovery from errors on the line."""

import random

import pytest
from thresher.hdl.link.linked_core import linked_core
from thresher.spec import ConfigError, preset
from thresher.spec.link import IDENTITY_PORT, LinkConfig, Operation, kind

from .link_bench import IDENTITY, Host, Packets, Reply, TwoQueues, request, run

pytestmark = pytest.mark.slow

RESET, WRITE, READ, WRITE_LAST = Operation
WIDE, BYTE = 0, 1
SILENCE, PATIENCE = 1 << 12, 1 << 8


def wide(*values: int) -> bytes:
    return b"".join(value.to_bytes(3, "little") for value in values)


def test_write_and_read():
    async def script(host: Host):
        assert await host.ask(1, WRITE, WIDE, wide(0x12345, 0xFEDCB)) == Reply(1, kind(WRITE, WIDE), 6, b"")
        assert await host.ask(2, WRITE, BYTE, b"xyz") == Reply(2, kind(WRITE, BYTE), 3, b"")
        assert await host.ask(3, READ, WIDE, count=6) == Reply(3, kind(READ, WIDE), 6, wide(0x12345, 0xFEDCB))
        assert await host.ask(4, READ, BYTE, count=3) == Reply(4, kind(READ, BYTE), 3, b"xyz")

    run(script)


def test_the_last_beat_of_a_packet():
    """A beat takes two bytes, without ``last``; only the last one of a request can end a packet."""

    async def script(host: Host):
        two = (0x123).to_bytes(2, "little") + (0xFEDC).to_bytes(2, "little")
        assert (await host.ask(1, WRITE, 0, two)).count == 4
        assert await host.ask(2, WRITE_LAST, 0, two) == Reply(2, kind(WRITE_LAST, 0), 4, b"")
        found = (await host.ask(3, READ, 0, count=8)).payload
        assert [int.from_bytes(found[i : i + 2], "little") for i in range(0, 8, 2)] == [0x123, 0xEDC, 0x123, 0x1EDC]

    run(script, core=Packets())


def test_a_packet_whose_end_does_not_fit():
    """Only the beats that are taken count, and the request for the rest ends the packet."""

    async def script(host: Host):
        sent = b"".join(value.to_bytes(2, "little") for value in range(8))
        taken = (await host.ask(1, WRITE_LAST, 0, sent)).count
        assert 0 < taken < len(sent)
        found = (await host.ask(2, READ, 0, count=16)).payload
        assert (await host.ask(3, WRITE_LAST, 0, sent[taken:])).count == len(sent) - taken
        found += (await host.ask(4, READ, 0, count=16 - len(found))).payload
        assert [int.from_bytes(found[i : i + 2], "little") for i in range(0, 16, 2)] == [*range(7), 0x1007]

    run(script, core=Packets())


def test_identity():
    async def script(host: Host):
        found = await host.ask(9, READ, IDENTITY_PORT, count=16)
        assert found == Reply(9, kind(READ, IDENTITY_PORT), 16, IDENTITY)

    run(script)


def test_a_read_returns_what_is_available():
    async def script(host: Host):
        assert (await host.ask(1, READ, BYTE, count=5)).count == 0
        await host.ask(2, WRITE, BYTE, b"ab")
        assert (await host.ask(3, READ, BYTE, count=5)).payload == b"ab"
        await host.ask(4, WRITE, BYTE, b"cde")
        assert (await host.ask(5, READ, BYTE, count=0)).payload == b""
        assert (await host.ask(6, READ, BYTE, count=2)).payload == b"cd"
        assert (await host.ask(7, READ, BYTE, count=127)).payload == b"e"

    run(script)


def test_a_write_takes_what_fits():
    """A stalled stream delays neither the answer nor other streams. No payload is lost or repeated."""

    async def script(host: Host):
        sent, taken = bytes(range(24)), 0
        got = b""
        for sequence in range(0, 200, 4):
            if taken < len(sent):
                answer = await host.ask(sequence, WRITE, BYTE, sent[taken:])
                taken += answer.count
            assert (await host.ask(sequence + 1, WRITE, WIDE, wide(sequence))).count == 3
            assert (await host.ask(sequence + 2, READ, WIDE, count=3)).payload == wide(sequence)
            got += (await host.ask(sequence + 3, READ, BYTE, count=7)).payload
            if len(got) == len(sent):
                break
        assert got == sent

    run(script)


def test_incomplete_beats_are_ignored():
    async def script(host: Host):
        assert (await host.ask(1, WRITE, WIDE, wide(5) + b"\x11\x22")).count == 3
        assert (await host.ask(2, WRITE, WIDE, wide(6))).count == 3
        assert (await host.ask(3, READ, WIDE, count=4)).payload == wide(5, 6)[:4]
        assert (await host.ask(4, READ, WIDE, count=9)).payload == wide(6)  # which was not taken before

    run(script)


def test_unknown_ports_transfer_nothing():
    async def script(host: Host):
        assert (await host.ask(1, WRITE, 2, b"abc")).count == 0
        assert (await host.ask(2, WRITE, IDENTITY_PORT, b"abc")).count == 0
        assert (await host.ask(3, READ, 2, count=3)).payload == b""
        await host.ask(4, WRITE, BYTE, b"a")
        assert (await host.ask(5, READ, BYTE, count=3)).payload == b"a"

    run(script)


def test_a_repeated_request_is_answered_but_not_executed_again():
    async def script(host: Host):
        for _ in range(3):
            assert (await host.ask(1, WRITE, BYTE, b"ab")).count == 2
        for _ in range(3):
            assert (await host.ask(2, READ, BYTE, count=1)).payload == b"a"
        await host.send(request(3, READ, BYTE, count=1)[:-1] + b"?")  # something else is lost in between
        assert (await host.ask(2, READ, BYTE, count=1)).payload == b"a"
        assert (await host.ask(3, READ, BYTE, count=9)).payload == b"b"
        assert (await host.ask(3, WRITE, BYTE, b"c")).count == 1  # another kind is another request
        assert (await host.ask(3, READ, BYTE, count=9)).payload == b"c"

    run(script)


def test_a_read_can_be_repeated_after_a_broken_write():
    """The payload of the last answer is stored apart from that of the request being received."""

    async def script(host: Host):
        await host.ask(1, WRITE, BYTE, b"ab")
        assert (await host.ask(2, READ, BYTE, count=2)).payload == b"ab"
        await host.send(request(3, WRITE, BYTE, b"zzzzzz")[:-4] + b"????")
        assert (await host.ask(2, READ, BYTE, count=2)).payload == b"ab"

    run(script)


def test_every_reset_is_executed():
    async def script(host: Host):
        await host.ask(1, WRITE, BYTE, b"abcdef")  # more than the queue holds: one waits in the port
        assert await host.ask(2, RESET) == Reply(2, kind(RESET), 0, b"")
        assert (await host.ask(3, READ, BYTE, count=9)).payload == b""
        await host.ask(4, WRITE, BYTE, b"x")
        await host.ask(5, RESET)
        await host.ask(6, WRITE, BYTE, b"y")
        await host.ask(5, RESET)
        await host.ask(5, RESET)
        assert (await host.ask(6, READ, BYTE, count=9)).payload == b""
        await host.ask(7, WRITE, BYTE, b"z")
        assert (await host.ask(8, READ, BYTE, count=9)).payload == b"z"

    run(script)


@pytest.mark.parametrize("length", [1, 2, 5, 8, 12])
def test_incomplete_frames_are_dropped_after_silence(length):
    """Frames end within or after the synchronisation, or within header, payload or CRC."""

    async def script(host: Host):
        frame = request(1, WRITE, BYTE, b"hello")
        await host.send(frame[:length])
        await host.wait(SILENCE + 100)
        await host.send(frame[length:])
        assert await host.reply() is None
        assert (await host.ask(2, WRITE, BYTE, b"x")).count == 1
        assert (await host.ask(3, READ, BYTE, count=9)).payload == b"x"

    run(script)


def test_a_frame_may_have_pauses():
    async def script(host: Host):
        for byte in request(1, WRITE, BYTE, b"hello"):
            await host.wait(SILENCE // 2)
            await host.send(bytes([byte]))
        assert await host.reply() == Reply(1, kind(WRITE, BYTE), 5, b"")

    run(script)


def test_a_frame_without_a_stop_bit_is_ignored():
    async def script(host: Host):
        frame = request(1, WRITE, BYTE, b"hi")
        await host.send(frame[:6])
        await host.send(frame[6:7], stop=0)
        await host.wait(50)
        await host.send(frame[7:])
        assert await host.reply() is None
        assert (await host.ask(1, WRITE, BYTE, b"hi")).count == 2

    run(script)


def test_sync_bytes_may_repeat_and_be_payload():
    async def script(host: Host):
        await host.send(b"\xa5\xa5\xa5")
        assert (await host.ask(1, WRITE, BYTE, b"\xa5\x5a\xa5")).count == 3
        await host.send(b"\xa5\x00")
        assert (await host.ask(2, READ, BYTE, count=9)).payload == b"\xa5\x5a\xa5"

    run(script)


def test_longest_payloads():
    async def script(host: Host):
        payload = bytes(random.Random(7).randrange(256) for _ in range(127))
        assert (await host.ask(1, WRITE, BYTE, payload)).count == 127
        assert (await host.ask(2, READ, BYTE, count=127)).payload == payload
        for count in (128, 0x100, 0xFFFF):
            await host.send(request(3, READ, BYTE, count=count))
            assert await host.reply() is None

    run(script, core=TwoQueues(depth=128))


@pytest.mark.parametrize("seed", range(2))
def test_reset_recovers_from_noise(seed):
    """After any bytes, a reset that is sent until it is answered makes the link work again."""

    async def script(host: Host):
        rng = random.Random(seed)
        for round_number in range(3):
            noise = bytes(rng.choice((0xA5, 0x5A, 0, 1, 2, rng.randrange(256))) for _ in range(rng.randrange(1, 120)))
            await host.send(noise, stop=rng.choice((1, 1, 0)))
            for _ in range(4):
                await host.send(request(10, RESET))
                if await host.reply() is not None:
                    break
                await host.wait(SILENCE)
            else:
                pytest.fail(f"no answer after noise, seed {seed}, round {round_number}")
            assert (await host.ask(11, WRITE, BYTE, b"abc")).count == 3, f"seed {seed}"
            assert (await host.ask(12, READ, BYTE, count=3)).payload == b"abc", f"seed {seed}"

    run(script)


def test_requests_during_an_answer_are_ignored():
    async def script(host: Host):
        await host.ask(1, WRITE, BYTE, b"abc")
        await host.send(request(2, READ, BYTE, count=3))
        await host.wait(PATIENCE)
        await host.send(request(3, READ, BYTE, count=3))  # the answer to the first leaves meanwhile
        await host.wait(SILENCE + 1000)
        assert (await host.ask(2, READ, BYTE, count=3)).payload == b"abc"

    run(script)


@pytest.mark.parametrize(("own", "theirs"), [(16, 16), (51, 52), (52, 51)])
def test_baud_rates_may_differ_by_two_percent(own, theirs):
    async def script(host: Host):
        assert (await host.ask(1, WRITE, WIDE, wide(0xABCDE))).count == 3
        assert (await host.ask(2, READ, WIDE, count=3)).payload == wide(0xABCDE)

    run(script, link=LinkConfig(clocks_per_bit=own, payload_bytes=128, silence_bits=14), clocks=theirs)


def test_a_wrong_baud_rate_gets_no_answer():
    async def script(host: Host):
        for sequence in range(4):
            await host.send(request(sequence, READ, IDENTITY_PORT, count=16))
            await host.wait(100)
        await host.wait(SILENCE)

    async def listen(host: Host):
        await script(host)
        assert await host.byte(10) is None

    run(listen, clocks=8)
    run(listen, clocks=3)


def test_payloads_shorter_than_a_beat_are_rejected():
    config = preset("server")
    with pytest.raises(ConfigError, match="must be more than the 128 bytes of a beat"):
        linked_core(config, LinkConfig(clocks_per_bit=8, payload_bytes=128))
