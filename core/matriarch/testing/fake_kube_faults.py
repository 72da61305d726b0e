"""How one caller's road to the fake API server misbehaves, and what that does to a request on its way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from matriarch.words.errors import ConflictError, Forbidden, MatriarchError, Throttled, Unavailable

T = TypeVar("T")
Range = tuple[float, float]
"""Seconds, from and to; a value is drawn uniformly."""

_FIRST_RETRANSMISSION_S = 0.2
_LAST_RETRANSMISSION_S = 15.0


@dataclass(slots=True)
class ApiFaults:
    """The faults of one identity. Change the fields at any time; probabilities are per request and from 0 to 1."""

    latency: Range = (0.0, 0.0)
    """Each way, in seconds. A request under way arrives even when its caller has given up meanwhile."""
    outage: bool = False
    """Nothing passes: requests and replies hang, streams stay open and fall silent."""
    late: float = 0.0
    """A request or reply that met an outage is delivered after it, as TCP does, and not lost for good."""
    refuse: bool = False
    """Connections are refused at once; nothing is written."""
    writes_fail: bool = False
    """Reads work, writes are answered 503 and do nothing (etcd without quorum)."""
    reads_fail: bool = False
    """Writes work, reads are answered 503 and open streams bring nothing."""
    stale_s: float = 0.0
    """Reads are answered with the state of so many seconds ago, as by a watch cache that is behind."""
    lost_reply: float = 0.0
    """A write is applied and its answer lost: half of them as a reset connection, half as silence."""
    server_error: float = 0.0
    """A 500; a write may have happened before it or not."""
    overloaded: float = 0.0
    """A 503; nothing happened."""
    conflict: float = 0.0
    """A write is answered 409 although nothing changed."""
    forbidden: float = 0.0
    """A 403."""
    throttled: float = 0.0
    """A 429 that asks for one second."""
    silent_watch: bool = False
    """Streams stay open and bring nothing, no bookmark either."""
    watch_lag: Range = (0.0, 0.0)
    """Events come this much later than they happened, in their order."""
    drop_watch: float = 0.0
    """Per event: the stream breaks instead of bringing it."""
    gone: float = 0.0
    """A watch is answered 410 when it starts."""

    def clear(self) -> None:
        """Back to a perfect road."""
        for name, value in vars_of(ApiFaults()).items():
            setattr(self, name, value)

    @property
    def perfect(self) -> bool:
        """Whether nothing is wrong, and nothing takes time."""
        return self.latency[1] == 0 and self == _PERFECT

    @property
    def mute(self) -> bool:
        """Whether a stream brings nothing now."""
        return self.outage or self.silent_watch or self.reads_fail


def vars_of(faults: ApiFaults) -> dict[str, Any]:
    """The fields by name."""
    return {name: getattr(faults, name) for name in ApiFaults.__dataclass_fields__}


_PERFECT = ApiFaults()


class Exchange(Generic[T]):
    """One request and its reply under way. `step` is what the server does, atomically, when the request arrives.

    Nothing here depends on the caller: a request that was sent arrives, although the caller was cancelled or timed out.
    """

    def __init__(self, step: Callable[[], T], writes: bool, faults: ApiFaults, rng: random.Random) -> None:
        self._step = step
        self._writes = writes
        self._faults = faults
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self.reply: asyncio.Future[T] = self._loop.create_future()

    def send(self) -> None:
        """Put the request on its way. On a perfect road it is answered before this returns."""
        if self._faults.perfect:
            self._serve()
        elif self._faults.refuse:
            self.reply.set_exception(Unavailable("connection refused"))
        else:
            self._travel(self._serve)

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._rng.random() < probability

    def _travel(self, arrive: Callable[[], None]) -> None:
        delay = self._rng.uniform(*self._faults.latency)
        if delay > 0:
            self._loop.call_later(delay, self._pass_outage, arrive, 0.0)
        else:
            self._pass_outage(arrive, 0.0)

    def _pass_outage(self, arrive: Callable[[], None], waited: float) -> None:
        """Arrive, unless nothing passes now: then be lost, or try again at doubling intervals as a TCP stack does."""
        if not self._faults.outage:
            arrive()
        elif waited == 0 and not self._happens(self._faults.late):
            return
        elif waited < _LAST_RETRANSMISSION_S:
            pause = waited or _FIRST_RETRANSMISSION_S
            self._loop.call_later(pause, self._pass_outage, arrive, waited + pause)

    def _serve(self) -> None:
        refusal = self._spurious_refusal()
        if refusal is not None:
            self._travel_back(None, refusal)
            return
        broken = self._happens(self._faults.server_error)
        if broken and self._happens(0.5):
            self._travel_back(None, Unavailable("500: etcdserver: request timed out"))
            return
        try:
            result, error = self._step(), None
        except MatriarchError as refused:
            result, error = None, refused
        if broken:
            error = Unavailable("500: etcdserver: request timed out")
        if self._writes and self._happens(self._faults.lost_reply):
            if self._happens(0.5):
                return
            error = Unavailable("connection reset by peer")
        self._travel_back(result, error)

    def _spurious_refusal(self) -> MatriarchError | None:
        """An answer for which the server did not even look at the request."""
        faults = self._faults
        if self._happens(faults.throttled):
            return Throttled("429: too many requests", 1.0)
        if self._happens(faults.overloaded) or (faults.writes_fail if self._writes else faults.reads_fail):
            return Unavailable("503: the server is currently unable to handle the request")
        if self._happens(faults.forbidden):
            return Forbidden("403: access denied for now")
        if self._writes and self._happens(faults.conflict):
            return ConflictError("409: the object has been modified")
        return None

    def _travel_back(self, result: T | None, error: MatriarchError | None) -> None:
        if self._faults.perfect:
            self._answer(result, error)
        else:
            self._travel(lambda: self._answer(result, error))

    def _answer(self, result: Any, error: MatriarchError | None) -> None:
        if self.reply.done():
            return
        if error is not None:
            self.reply.set_exception(error)
        else:
            self.reply.set_result(result)
