"""What stands between an agent and the world, so that the agent can be stopped like a process.

A paused agent's calls wait before they leave and before they return; nothing that it decides meanwhile reaches the
world. A killed agent's calls never leave again. Only the ports are gated: an agent's own arithmetic has no effect
outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol


class Spy(Protocol):
    """Told of every call through a gated port: before it leaves, and when it is done but its caller not told yet."""

    def begins(self, method: str, args: tuple[Any, ...]) -> str | None:
        """A call is about to leave. Returns what it is, when it is worth to be told of its end."""
        ...

    def ended(self, step: str) -> None:
        """It is done, or has failed."""
        ...


class Gate:
    """Open, shut (SIGSTOP) or gone (SIGKILL). Several who stop it must all let it go on. `free`: everything passes at
    once."""

    def __init__(self) -> None:
        self._stops = 0
        self._open = asyncio.Event()
        self._open.set()
        self._drag: Callable[[], float] | None = None
        self.dead = False
        self.free = True

    @property
    def drag(self) -> Callable[[], float] | None:
        """Seconds that each pass takes: a process that hardly gets the processor."""
        return self._drag

    @drag.setter
    def drag(self, drag: Callable[[], float] | None) -> None:
        self._drag = drag
        self._weigh()

    @property
    def shut(self) -> bool:
        """Whether nothing passes for now."""
        return not self._open.is_set()

    def stop(self) -> None:
        """SIGSTOP."""
        self._stops += 1
        self._open.clear()
        self._weigh()

    def go_on(self) -> None:
        """SIGCONT."""
        self._stops -= 1
        if self._stops <= 0:
            self._open.set()
        self._weigh()

    def end(self) -> None:
        """SIGKILL."""
        self.dead = True
        self._open.set()
        self._weigh()

    def _weigh(self) -> None:
        self.free = not self.dead and self._drag is None and self._open.is_set()

    async def opened(self) -> None:
        """Wait until the gate is not shut."""
        if self.drag is not None:
            await asyncio.sleep(self.drag())
        while self.shut:
            await self._open.wait()

    async def through(self) -> None:
        """Wait until the process may run. Raises CancelledError in a process that is gone."""
        await self.opened()
        if self.dead:
            raise asyncio.CancelledError


class Gated:
    """Any port behind a gate: coroutines and async iterators pass through it in both directions."""

    def __init__(self, inner: Any, gate: Gate, spy: Spy | None = None) -> None:
        self._inner = inner
        self._gate = gate
        self._spy = spy

    def __getattr__(self, name: str) -> Any:
        """Asked once for each name: the wrapped method is an attribute from then on."""
        method = getattr(self._inner, name)
        wrapped = self._stream(method) if name == "watch" else self._call(name, method)
        self.__dict__[name] = wrapped
        return wrapped

    def _call(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        gate, spy = self._gate, self._spy

        async def call(*args: Any, **kwargs: Any) -> Any:
            step = spy.begins(name, args) if spy is not None else None
            if not gate.free:
                await gate.through()
            try:
                result = await method(*args, **kwargs)
            except Exception:
                if spy is not None and step is not None:
                    spy.ended(step)
                await gate.through()
                raise
            if spy is not None and step is not None:
                spy.ended(step)
            if not gate.free:
                await gate.through()
            return result

        return call

    def _stream(self, method: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
        gate = self._gate

        async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            if not gate.free:
                await gate.through()
            async for item in method(*args, **kwargs):
                if not gate.free:
                    await gate.through()
                yield item

        return stream
