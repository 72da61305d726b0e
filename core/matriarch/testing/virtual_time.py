"""An asyncio event loop on virtual time: sleeping costs nothing, and the same program runs the same way every time.

`asyncio.sleep`, `timeout`, `wait_for`, `Event`, `Queue` and `TaskGroup` all work unchanged. The loop's clock moves only
when every task waits, and then straight to the next timer. There are no sockets, threads, signals or subprocesses on
it: whatever needs the outside world fails at once instead of making a run depend on the machine.

Two sources of accidental disorder are removed as well. asyncio keeps tasks in sets, whose order follows the tasks'
addresses in memory; here a task's hash is its serial number, so the order in which a TaskGroup cancels its children is
the same in every run. Default task names count from 1 in each loop, not in each process.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Never, TypeVar

T = TypeVar("T")


class DeadlockError(RuntimeError):
    """Every task waits and no timer is set: nothing can ever happen again. The message lists who waits where."""


class VirtualTask(asyncio.Task[T]):
    """A task that sorts the same way in every run, see the module's text."""

    serial: int = 0

    def __hash__(self) -> int:
        return self.serial


class _JumpingSelector:
    """Stands where the operating system's selector would: instead of blocking for `timeout`, it moves the clock."""

    def __init__(self, start: float) -> None:
        self.now = start

    def select(self, timeout: float | None) -> list[Never]:
        """Advance by `timeout` seconds; None means that nothing is scheduled."""
        if timeout is None:
            raise DeadlockError
        if timeout > 0:
            # At large times an addition may be lost to rounding: the clock must still move, or the loop would spin.
            self.now = max(self.now + timeout, math.nextafter(self.now, math.inf))
        return []


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """Event loop whose `time()` starts at `start` seconds and jumps from timer to timer."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self._selector = _JumpingSelector(start)
        self._serial = 0
        self.set_task_factory(_numbered_task)

    def time(self) -> float:
        """Virtual seconds."""
        return self._selector.now

    def next_serial(self) -> int:
        """Number for the next task, from 1."""
        self._serial += 1
        return self._serial

    def run_forever(self) -> None:
        """Run until stopped. Raises DeadlockError when no task can ever go on."""
        try:
            super().run_forever()
        except DeadlockError:
            raise DeadlockError(self._describe_deadlock()) from None

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Never:  # type: ignore[override]
        """Refused: a thread's speed is not virtual."""
        raise RuntimeError(f"no threads on virtual time: run_in_executor({func!r})")

    def _describe_deadlock(self) -> str:
        waiting = sorted(asyncio.all_tasks(self), key=hash)
        lines = [f"  {task.get_name()}: {_where(task)}" for task in waiting]
        return "\n".join([f"at {self.time():.3f} s every task waits and no timer is set:", *lines])

    def _process_events(self, event_list: list[Never]) -> None:
        """Called by BaseEventLoop between moving the clock and firing timers: what `select` returned is never anything.

        A timer is due when it is earlier than now plus the resolution. At large times that sum must differ from now, or
        a timer that is due would never fire.
        """
        now = self._selector.now
        self._clock_resolution = max(1e-9, 2 * math.ulp(now))

    def _write_to_self(self) -> None:
        """Called by BaseEventLoop to end a blocking `select` from another thread: ours never blocks."""


def _numbered_task(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
    *,
    name: str | None = None,
    context: Context | None = None,
) -> asyncio.Task[T]:
    assert isinstance(loop, VirtualTimeLoop)
    serial = loop.next_serial()
    # The base constructor already puts the task into a set, so the serial has to be there before it runs.
    task: VirtualTask[T] = VirtualTask.__new__(VirtualTask)
    task.serial = serial
    VirtualTask.__init__(task, coro, loop=loop, name=name or f"task-{serial}", context=context)
    return task


def _where(task: asyncio.Task[Any]) -> str:
    """The innermost line of the task's own code, then the await it is in."""
    frames = task.get_stack()
    if not frames:
        return "not started"
    return " > ".join(f"{frame.f_code.co_qualname} (line {frame.f_lineno})" for frame in frames)


def run(coro: Coroutine[Any, Any, T], *, start: float = 0.0) -> T:
    """Run `coro` to its end on a fresh virtual-time loop that begins at `start` seconds, and return its result.

    Raises DeadlockError, after cancelling what was left, when nothing could ever go on.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(start)) as runner:
        return runner.run(coro)
