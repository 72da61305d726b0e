"""What init asks of Linux beyond what Python offers: a timer on CLOCK_BOOTTIME, adopting orphans, dying with a parent.

CLOCK_BOOTTIME counts the time that the machine is suspended; a lease does too. Python has its own timer descriptors
from 3.13 on; ctypes (1 MB) is loaded only where those are missing, and outside of a container.
"""

from __future__ import annotations

import os
import time

from matriarch_agent.init.bare import TYPE_CHECKING, signal

if TYPE_CHECKING:
    from typing import Any

_ABSOLUTE = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36


def now() -> float:
    """Seconds on CLOCK_BOOTTIME."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class BootTimer:
    """A file descriptor that becomes readable at a moment of CLOCK_BOOTTIME."""

    def __init__(self) -> None:
        create = getattr(os, "timerfd_create", None)
        self._libc: Any = None
        if create is not None:
            self.fd: int = create(time.CLOCK_BOOTTIME, flags=_NONBLOCK_CLOEXEC)
        else:
            self._libc = _libc()
            self.fd = self._libc.timerfd_create(time.CLOCK_BOOTTIME, _NONBLOCK_CLOEXEC)
        if self.fd < 0:
            raise OSError("timerfd_create failed")

    def arm(self, at: float | None) -> None:
        """Become readable at `at` (None: never). A moment in the past counts as now."""
        at = 0.0 if at is None else max(at, 1e-6)
        if self._libc is None:
            setter: Any = vars(os)["timerfd_settime"]
            setter(self.fd, flags=vars(os)["TFD_TIMER_ABSTIME"], initial=at)
            return
        import ctypes

        seconds = int(at)
        spec = (ctypes.c_long * 4)(0, 0, seconds, int((at - seconds) * 1e9))
        if self._libc.timerfd_settime(self.fd, _ABSOLUTE, spec, None) != 0:
            raise OSError("timerfd_settime failed")

    def clear(self) -> None:
        """Forget that it fired."""
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return


def adopt_orphans() -> None:
    """Make orphaned descendants children of this process, as they are of a container's process 1."""
    if os.getpid() != 1:
        _libc().prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def parent_death_killer() -> Any:
    """A function for a forked child to call before exec: it then dies when init does.

    In a container the kernel does that by itself when process 1 ends; None says that nothing is needed.
    """
    if os.getpid() == 1:
        return None
    prctl = _libc().prctl
    return lambda: prctl(_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)
