"""The simulated card network: authorization messages over a Unix socket, as JSON lines, pipelined.

It carries what an authorization message carries, with the elements that the payment service put in, and
nature's draw (`decisions.Nature`): what the issuer's own systems see of the payment. Never the risk data.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_LINE_BYTES = 64 * 1024
"""An authorization message is under 2 kB; the rest is room for status answers."""

ANSWER_TIMEOUT_S = 30.0
"""Longest wait for an issuer; after it the network would answer in its place."""

RECONNECT_PAUSE_S = 0.1
TRAVEL_MS = 50
"""From the payment service by acquirer and network to the issuer; in life it takes 100 ms and more."""

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Answer:
    """DE39 of the issuer, or of the network in its place."""

    code: str
    approved: bool
    stand_in: bool = False


class NetworkLink:
    """The acquirer side's line to one issuer. Connects again when the issuer was restarted."""

    def __init__(self, socket_path: Path) -> None:
        self._path = str(socket_path)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE_BYTES)
                self._reading = asyncio.create_task(self._read(reader))
        assert self._writer is not None
        return self._writer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                reply = json.loads(line)
                asked = self._waiting.pop(reply["id"], None)
                if asked is not None and not asked.done():
                    asked.set_result(reply)
        # Taken off first: what is asked from here on goes over the next line.
        lost, self._waiting = list(self._waiting.values()), {}
        for waiting in lost:
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the issuer's line broke"))
        await self._hang_up()

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Sends `message` (with its own `id`), waits for the reply. Raises ConnectionError, TimeoutError."""
        writer = await self._connected()
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[message["id"]] = waiting
        writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        try:
            return await asyncio.wait_for(waiting, ANSWER_TIMEOUT_S)
        finally:
            self._waiting.pop(message["id"], None)

    async def authorize(self, message: dict[str, Any], *, attempts: int = 100) -> Answer:
        """The issuer's answer. While its line is down the message is sent again, as the network would."""
        await asyncio.sleep(TRAVEL_MS / 1000)
        for _ in range(attempts):
            try:
                reply = await self.ask(message)
            except (ConnectionError, FileNotFoundError):
                await asyncio.sleep(RECONNECT_PAUSE_S)
            except TimeoutError:
                break
            else:
                return Answer(reply["code"], reply["approved"])
        return Answer("91", approved=False, stand_in=True)

    async def _hang_up(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def close(self) -> None:
        await self._hang_up()
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading


async def serve(socket_path: Path, handler: Handler) -> asyncio.Server:
    """The issuer's end of the line: each message is handled by itself, answers go back as they come."""
    running: set[asyncio.Task[None]] = set()

    async def one(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        reply = await handler(message)
        reply["id"] = message["id"]
        if not writer.is_closing():
            writer.write(json.dumps(reply, separators=(",", ":")).encode() + b"\n")

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                task = asyncio.create_task(one(json.loads(line), writer))
                running.add(task)
                task.add_done_callback(running.discard)
        writer.close()

    return await asyncio.start_unix_server(connection, str(socket_path), limit=MAX_LINE_BYTES)
