"""One connection to an HTTP server, and one request at a time on it."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.trsock import TransportSocket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import h11

from matriarch.net.origin import Origin
from matriarch.net.stream import ByteStream

_LONGEST_HEAD = 64 * 1024


class Broken(Exception):
    """There is no connection, it was lost before the answer was complete, or what came is not HTTP.

    Whether a request that was sent took effect is unknown. `refused`: nobody listens at the address.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Unsayable(ValueError):
    """A header or a target that HTTP has no form for. Nothing was sent; the message does not repeat it."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer. Header names are in lower case; of a repeated one the last value is kept."""

    status: int
    headers: dict[str, str]


class HttpConnection:
    """Time limits are the caller's: whoever is cancelled in an exchange has to `abort`, since the answer to that
    request may still come."""

    def __init__(self, stream: ByteStream, origin: Origin) -> None:
        self._stream = stream
        self._origin = origin
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)

    @classmethod
    async def open(cls, origin: Origin, tls: ssl.SSLContext | None, tls_name: str | None = None) -> Self:
        """Connect. `tls` is for https; `tls_name` is the name that the certificate has to carry, the host's when None.
        Raises Broken."""
        secure = origin.scheme == "https"
        try:
            _, stream = await asyncio.get_running_loop().create_connection(
                ByteStream,
                origin.host,
                origin.port,
                ssl=(tls or ssl.create_default_context()) if secure else None,
                server_hostname=(tls_name or origin.host) if secure else None,
            )
        except (OSError, UnicodeError) as error:
            refused = isinstance(error, ConnectionRefusedError)
            raise Broken(f"cannot connect to {origin.header}: {_told(error)}", refused=refused) from error
        return cls(stream, origin)

    @property
    def socket(self) -> TransportSocket:
        """For options of the kernel's."""
        found: TransportSocket = self._stream.transport.get_extra_info("socket")
        return found

    async def ask(self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | None) -> Head:
        """Send a request, and return the head of the answer, whose body is then read by `part` or `rest`.

        Raises Unsayable, or Broken.
        """
        length = [] if body is None else [("Content-Length", str(len(body)))]
        try:
            request = h11.Request(
                method=method, target=target, headers=[("Host", self._origin.header), *headers, *length]
            )
            said = self._http.send(request) or b""
        except (h11.LocalProtocolError, UnicodeError):
            raise Unsayable(f"not a request: {method} with a header or a target that HTTP has no form for") from None
        if body:
            said += self._http.send(h11.Data(data=body)) or b""
        self._stream.write(said + (self._http.send(h11.EndOfMessage()) or b""))
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                found = {name.decode(): value.decode("latin-1") for name, value in event.headers}
                return Head(event.status_code, found)

    async def part(self) -> bytes:
        """The next bytes of the answer's body, never empty but at its end. Raises Broken."""
        while True:
            event = await self._event()
            if isinstance(event, h11.Data) and event.data:
                return bytes(event.data)
            if isinstance(event, h11.EndOfMessage):
                return b""

    async def rest(self, limit: int | None = None) -> bytes:
        """All of the body. Raises Broken, also when it is longer than `limit` bytes."""
        whole = bytearray()
        while data := await self.part():
            whole += data
            if limit is not None and len(whole) > limit:
                raise Broken(f"the answer is longer than {limit} bytes")
        return bytes(whole)

    def renew(self) -> bool:
        """Make ready for another request. False when this connection cannot carry one."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE and not self._http.trailing_data[0]:
            self._http.start_next_cycle()
        return self._http.our_state is h11.IDLE and self._stream.quiet

    def abort(self) -> None:
        """Let the connection go, whatever is under way: a reader is told Broken."""
        self._stream.abort()

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """The next event; whether it is of use is the caller's to say."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._stream.read())
        except h11.RemoteProtocolError as error:
            raise Broken(f"{self._origin.header} broke off or does not speak HTTP: {error}") from error
        except OSError as error:
            raise Broken(f"the connection to {self._origin.header} broke: {_told(error)}") from error
        if isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            raise Broken(f"{self._origin.header} hung up without an answer")
        return event


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
