"""Signals and sockets as the interpreter itself has them.

Python's modules of these names wrap them into enumerations, which brings a dozen modules more: 1.3 MB for every member.
What is used here of the bare ones is the same in both. An interpreter without them gets the usual ones.
"""

from __future__ import annotations

TYPE_CHECKING = False
"""True for the type checker alone. `typing`, which has it too, is half a megabyte."""
if TYPE_CHECKING:
    import signal
    import socket
    from typing import Any
else:
    try:
        import _signal as signal
        import _socket as socket
    except ImportError:
        import signal
        import socket

__all__ = ["TYPE_CHECKING", "accept", "signal", "socket"]


def accept(listening: socket.socket) -> socket.socket:
    """A connection that waits on a socket of the same kind; it never blocks. Raises OSError."""
    bare: Any = listening
    descriptor, _ = bare._accept()
    connection = socket.socket(listening.family, listening.type, listening.proto, descriptor)
    connection.setblocking(False)
    return connection
