"""Share data on its way to a receiver that reads slowly, so that a switch reaches it too.

What the kernel does not take at once waits in the transport's buffer, and would leave long after a kill was
over. The loop drops those connections before it acknowledges the switch.
"""

import asyncio
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gateway.feeds.ports import OutboxItem

_NO_LINGER = struct.pack("ii", 1, 0)
"""With it a close discards what the kernel holds and has not sent yet (socket(7), SO_LINGER)."""

KERNEL_UNSENT_BYTES = 64 * 1024
"""What the kernel takes beyond what the receiver has room for; by itself it takes megabytes."""

# Not on every platform.
_UNSENT_LIMIT = getattr(socket, "TCP_NOTSENT_LOWAT", None)


def drop(transport: asyncio.Transport) -> None:
    """Ends the connection with nothing more sent. Safe: what was not acknowledged is offered again."""
    raw = transport.get_extra_info("socket")
    if raw is not None and not transport.is_closing():
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


class InFlight:
    """Transports with data of shares in their hands. Belongs to the loop that everything leaves from."""

    def __init__(self) -> None:
        self._held: dict[asyncio.Transport, Sequence[OutboxItem]] = {}

    @contextmanager
    def holding(self, transport: asyncio.Transport, items: Sequence[OutboxItem]) -> Iterator[None]:
        """While `items` are written to `transport`, which answers one request at a time."""
        # From now on the buffer is empty whenever a write returns.
        transport.set_write_buffer_limits(high=0)
        raw = transport.get_extra_info("socket")
        if _UNSENT_LIMIT is not None and raw is not None and raw.family != socket.AF_UNIX:
            raw.setsockopt(socket.IPPROTO_TCP, _UNSENT_LIMIT, KERNEL_UNSENT_BYTES)
        self._held[transport] = items
        try:
            yield
        except BaseException:
            # Whoever gives up, at a shutdown say, leaves nothing behind that flows on by itself.
            drop(transport)
            raise
        finally:
            self._held.pop(transport, None)

    def waiting(self) -> list[tuple[asyncio.Transport, Sequence[OutboxItem]]]:
        """Those that the kernel has not taken all bytes of."""
        return [held for held in self._held.items() if held[0].get_write_buffer_size() > 0]
