"""The bytes of one connection, either way."""

from __future__ import annotations

import asyncio
from typing import cast

_ENOUGH = 256 * 1024
"""Bytes that may wait to be read before the peer is held up."""


class ByteStream(asyncio.Protocol):
    """What arrives, until somebody reads it; and whether the peer is still there.

    One task reads. Unlike asyncio's own streams it shows what has come although nobody asked, which is how a kept
    connection that cannot be used again is told from one that can.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._arrived = bytearray()
        self._ended = False
        self._problem: Exception | None = None
        self._held_up = False
        self._reader: asyncio.Future[None] | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """The connection that carries it."""
        assert self._transport is not None
        return self._transport

    @property
    def ended(self) -> bool:
        """The peer is gone, or we are."""
        return self._ended or self.transport.is_closing()

    @property
    def quiet(self) -> bool:
        """The peer is there and has said nothing that is unread."""
        return not (self._arrived or self.ended)

    async def read(self) -> bytes:
        """What has arrived, or what arrives next; empty at the end. Raises OSError when the connection broke."""
        if not self._arrived and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        if self._arrived:
            data = bytes(self._arrived)
            self._arrived.clear()
            if self._held_up:
                self._held_up = False
                self.transport.resume_reading()
            return data
        if self._problem is not None:
            raise self._problem
        return b""

    def write(self, data: bytes) -> None:
        """Send, now or as soon as the network takes it. What cannot be sent shows in `read`."""
        self.transport.write(data)

    def abort(self) -> None:
        """Let the connection go at once, without a farewell."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._arrived += data
        if len(self._arrived) > _ENOUGH and not self._held_up:
            self._held_up = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """See asyncio.Protocol. We have nothing to say to a peer that says no more."""
        self._ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if exc is None and not self._ended:
            exc = ConnectionAbortedError("the connection was let go")
        if not self._ended:
            self._problem = exc
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
