"""One request and its answer on a connection that then ends, like Patroni's: idle clients must not use up the agent's
file descriptors. h11 reads and writes, asyncio's streams carry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import cast

import h11

from matriarch_agent.rest.message import Request, Response, ShortBody

LONGEST_HEAD = 16 * 1024
"""Bytes of a request's head."""
_READ_AT_ONCE = 64 * 1024


class Malformed(Exception):
    """What came is no HTTP request; the message may be told to the client."""


class Exchange:
    """The server's end of one connection. The time limits are the caller's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.SERVER)

    async def request(self) -> Request | None:
        """The request's head; its body comes when the handler reads it. None when the client hangs up instead.

        Raises Malformed, or OSError.
        """
        try:
            event = await self._first()
        except h11.RemoteProtocolError as error:
            raise Malformed(str(error)) from None
        if not isinstance(event, h11.Request):
            return None
        if event.http_version not in (b"1.0", b"1.1"):
            raise Malformed("this is not HTTP/1.0 or HTTP/1.1")
        peer = self._writer.get_extra_info("peername")
        try:
            return Request.of(
                event.method.decode(),
                event.target.decode("latin-1"),
                {name.decode(): value.decode("latin-1") for name, value in event.headers},
                address=str(peer[0]) if isinstance(peer, tuple) else "",
                certificate=bool(self._writer.get_extra_info("peercert")),
                read=self._body,
            )
        except ValueError:
            raise Malformed("the request's target cannot be read") from None

    async def answer(self, response: Response, always: Mapping[str, str]) -> None:
        """Send the answer. `always` are headers that go with every one. Raises OSError."""
        headers = {
            "Content-Length": str(len(response.body)),
            "Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
            "Connection": "close",
        }
        if response.content_type is not None:
            headers["Content-Type"] = f"{response.content_type}; charset=utf-8"
        headers |= response.headers
        ours = {name.lower() for name in headers}
        headers |= {name: value for name, value in always.items() if name.lower() not in ours}
        said = self._http.send(
            h11.Response(
                status_code=response.status,
                reason=HTTPStatus(response.status).phrase.encode(),
                headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            )
        )
        data = self._http.send(h11.Data(data=response.body)) if response.body else b""
        end = self._http.send(h11.EndOfMessage())
        self._writer.write(b"".join(part for part in (said, data, end) if part))
        await self._writer.drain()

    @property
    def unread(self) -> bool:
        """The client may still be sending. To hang up on it would take the answer from it."""
        try:
            while self._http.their_state is h11.SEND_BODY and self._http.next_event() is not h11.NEED_DATA:
                pass
        except h11.RemoteProtocolError:
            return True
        return self._http.their_state in (h11.SEND_BODY, h11.ERROR)

    async def drain(self) -> None:
        """Say that this was all; then read and forget what still comes, until the client hangs up. Raises OSError."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        while await self._reader.read(_READ_AT_ONCE):
            pass

    async def _body(self, length: int) -> bytes:
        if length and self._http.they_are_waiting_for_100_continue:
            self._writer.write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        body = bytearray()
        while len(body) < length:
            try:
                event = await self._event()
            except (h11.RemoteProtocolError, OSError) as error:
                raise ShortBody from error
            if not isinstance(event, h11.Data):
                break
            body += event.data
        return bytes(body)

    async def _first(self) -> h11.Event | type[h11.PAUSED]:
        left = LONGEST_HEAD
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if left == 0:
                raise Malformed(f"the request's head is longer than {LONGEST_HEAD} bytes")
            data = await self._reader.read(left)
            left -= len(data)
            self._http.receive_data(data)
        return cast("h11.Event | type[h11.PAUSED]", event)

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_READ_AT_ONCE))
        return event
