"""The end of the WAL receiver, heard at once: it is the first sign that an upstream is gone."""

from __future__ import annotations

import asyncio
import os


class ReceiverWatch:
    """Watches one process, the WAL receiver that was last told of. Where the kernel offers no such watch, nothing is
    heard, and the next look finds out."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._descriptor: int | None = None
        self._ended = asyncio.Event()

    def note(self, pid: int | None) -> None:
        """The WAL receiver of this moment; None for none."""
        if pid == self._pid:
            return
        self.close()
        self._pid = pid
        if pid is None:
            return
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._ended.set()
        except OSError:
            return
        else:
            asyncio.get_running_loop().add_reader(self._descriptor, self._hear)

    async def ended(self) -> None:
        """Return when a WAL receiver has ended since the last return."""
        await self._ended.wait()
        self._ended.clear()

    def close(self) -> None:
        """Watch nothing."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
        self._pid = self._descriptor = None

    def _hear(self) -> None:
        self.close()
        self._ended.set()
