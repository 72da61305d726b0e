"""An asyncio event loop on virtual time: sleeping costs nothing, and the same program runs the same way every time.

`asyncio.sleep`, `timeout`, `wait_for`, `Event`, `Queue` and `TaskGroup` all work unchanged. The loop's clock moves only
when every task waits, and then straight to the next timer. There are no sockets, threads, signals or subprocesses on
it: whatever needs the outside world fails at once instead of making a run depend on the machine.

Two sources of accidental disorder are removed as well. asyncio keeps tasks in sets, whose order follows the tasks'
addresses in memory; here a task's hash is its serial number, so the order in which a TaskGroup cancels its children is
the same in every run. Default task names count from 1 in each loop, not in each process.

Context variables are not kept apart: everything runs in the context of whoever runs the loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from functools import partial
from heapq import heappop, heappush
from typing import Any, Never, TypeVar

T = TypeVar("T")


class DeadlockError(RuntimeError):
    """Every task waits and no timer is set: nothing can ever happen again. The message lists who waits where."""


class VirtualTask(asyncio.Task[T]):
    """A task that sorts the same way in every run, see the module's text."""

    serial: int = 0

    def __hash__(self) -> int:
        return self.serial


class _Call(list[Any]):
    """A callback that is to run, now or at a moment: what asyncio knows as Handle and TimerHandle, and nothing else.

    A list of the moment, a serial number, the callback and its arguments: lists are made and compared in C. A callback
    of None was cancelled.
    """

    __slots__ = ()

    def cancel(self) -> None:
        """Do not run it."""
        self[2:] = (None, ())

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self[2] is None

    def when(self) -> float:
        """The loop's time at which it is due."""
        return float(self[0])


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """Event loop whose `time()` starts at `start` seconds and jumps from timer to timer.

    A simulation spends much of its time here, so the loop keeps what BaseEventLoop does for sockets, threads and
    debugging out of the way of each step. Timers of one moment run in the order in which they were set.
    """

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self._now = start
        self._due: deque[_Call] = deque()
        self._timers: list[_Call] = []
        self._timers_set = 0
        self._serial = 0
        self.set_task_factory(_numbered_task)
        self.create_future = partial(asyncio.Future, loop=self)  # type: ignore[method-assign]

    get_debug = staticmethod(bool)
    """Never. Every future asks for it, and this answer needs no Python."""

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def next_serial(self) -> int:
        """Number for the next task, from 1."""
        self._serial += 1
        return self._serial

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Call:
        """Run `callback` after what is due already."""
        call = _Call((self._now, 0, callback, args))
        self._due.append(call)
        return call

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Call:
        """Run `callback` at the loop's time `when`."""
        self._timers_set = serial = self._timers_set + 1
        call = _Call((when, serial, callback, args))
        heappush(self._timers, call)
        return call

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Call:
        """Run `callback` after `delay` seconds."""
        self._timers_set = serial = self._timers_set + 1
        call = _Call((self._now + delay, serial, callback, args))
        heappush(self._timers, call)
        return call

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

    def _run_once(self) -> None:
        """Called by BaseEventLoop until the loop is stopped. A round: all timers that are due, then what was due before
        it began; the clock moves when a round leaves nothing to do."""
        due, timers = self._due, self._timers
        while not self._stopping:  # type: ignore[attr-defined]
            while timers and timers[0][2] is None:
                heappop(timers)
            if not due:
                if not timers:
                    raise DeadlockError
                self._now = max(self._now, timers[0][0])
            now = self._now
            while timers and timers[0][0] <= now:
                due.append(heappop(timers))
            for _ in range(len(due)):
                _, _, callback, args = due.popleft()
                if callback is None:
                    continue
                try:
                    callback(*args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001  the loop's exception handler is who judges
                    self.call_exception_handler({"message": f"exception in {callback!r}", "exception": error})


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
