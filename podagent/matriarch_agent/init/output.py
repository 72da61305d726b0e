"""Lines for the container's log, written without ever waiting: who reads them may stand still, and holds nothing up.

Standard output and error are usually pipes that Postgres has too, and may fill. Whether a write waits is a matter of
the open file description, which all of them share, so this opens one of its own.
"""

from __future__ import annotations

import os
import select
import stat


class Output:
    """One of the standard descriptors. Works from the first write on, so that a process may be forked before."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._own: int | None = None
        self._ready: select.poll | None = None
        self._torn = False
        self.lost = 0
        """Lines that found no room since the last one that did."""

    def write(self, line: bytes) -> None:
        """Write a whole line, or lose it: when nobody reads, when the reader is gone."""
        try:
            through = self._written(line)
        except OSError:
            through = False
        self.lost = 0 if through else self.lost + 1

    def _written(self, line: bytes) -> bool:
        if self._own is None:
            self._open()
        if self._own is None or (self._ready is not None and not self._ready.poll(0)):
            return False
        # A long line may find room for its beginning only. The next one begins on a line of its own.
        line = b"\n" + line if self._torn else line
        self._torn = os.write(self._own, line) < len(line)
        return not self._torn

    def _open(self) -> None:
        """Files do not make a writer wait, and are written where the others are. A socket cannot be opened anew, nor a
        pipe that belongs to somebody else: there a look comes before each write."""
        kind = os.fstat(self._number).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            try:
                self._own = os.open(f"/proc/self/fd/{self._number}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
                return
            except OSError:
                pass
        self._ready = select.poll()
        self._ready.register(self._number, select.POLLOUT)
        self._own = self._number
