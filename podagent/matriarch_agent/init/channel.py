"""The socket on which the agent asks; answers carry the `id` of the question.

A client that does not read (a stopped agent) is dropped: nothing that a client does or leaves undone may hold init up.
"""

from __future__ import annotations

import os
import select

from matriarch_agent.init.bare import TYPE_CHECKING, accept, socket
from matriarch_agent.init.wire import Nonsense, Request, line, take_request

if TYPE_CHECKING:
    from collections.abc import Callable


class Client:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.watching = False
        self.open = True
        self._read = b""

    def send(self, message: dict[str, object]) -> None:
        """Send at once or not at all."""
        data = line(message)
        try:
            complete = self.open and self.connection.send(data) == len(data)
        except OSError:
            complete = False
        if not complete:
            self.open = False

    def requests(self) -> list[Request]:
        """The complete requests that have arrived. Marks the client closed on end of file or nonsense."""
        try:
            data = self.connection.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        self._read += data
        self.open = self.open and bool(data)
        found = []
        try:
            while True:
                request, self._read = take_request(self._read)
                if request is None:
                    break
                found.append(request)
        except Nonsense:
            self.open = False
        return found


class Channel:
    """The listening socket and its clients, on the caller's poll object."""

    def __init__(self, path: str, poll: select.poll, answer: Callable[[Client, Request], None]) -> None:
        self._path = path
        self._poll = poll
        self._answer = answer
        self._clients: dict[int, Client] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        _remove(path)
        previous = os.umask(0o177)
        try:
            self._socket.bind(path)
        finally:
            os.umask(previous)
        self._socket.listen(16)
        poll.register(self._socket, select.POLLIN)

    def handle(self, fd: int) -> None:
        """Serve one ready descriptor; those of others are ignored."""
        if fd == self._socket.fileno():
            self._accept()
            return
        client = self._clients.get(fd)
        if client is None:
            return
        for request in client.requests():
            self._answer(client, request)
        self.drop_closed()

    def publish(self, event: dict[str, object]) -> None:
        """Tell every client that watches."""
        for client in self._clients.values():
            if client.watching:
                client.send(event)
        self.drop_closed()

    def drop_closed(self) -> None:
        """Forget the clients that are gone."""
        for fd, client in list(self._clients.items()):
            if not client.open:
                self._poll.unregister(fd)
                client.connection.close()
                del self._clients[fd]

    def close(self) -> None:
        """Close everything and remove the socket."""
        for client in self._clients.values():
            client.open = False
        self.drop_closed()
        self._socket.close()
        _remove(self._path)

    def _accept(self) -> None:
        try:
            connection = accept(self._socket)
        except OSError:
            return
        self._clients[connection.fileno()] = Client(connection)
        self._poll.register(connection, select.POLLIN)


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)
