"""Streaming replication between two fake servers: one `Link` is a walsender, its walreceiver and the TCP in between.

Timing is that of wal_sender_timeout and wal_receiver_timeout of 5 s: a partition freezes a link, and each side gives it
up by its own clock. A process that dies resets its connections, unless its host cannot be heard any more.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from matriarch.testing.bell import Bell
from matriarch.testing.fake_postgres_site import between
from matriarch.testing.fake_postgres_wal import SEGMENT, Branch

if TYPE_CHECKING:
    from matriarch.testing.fake_postgres_server import Server

TIMEOUT_S = 5.0
"""wal_sender_timeout and wal_receiver_timeout."""
STATUS_S = 1.0
"""wal_receiver_status_interval."""
RETRANSMIT_S = 0.2
BANDWIDTH = 100e6
"""Bytes per second of WAL on one link."""
CHUNK = 16 * 1024 * 1024


class Link:
    """WAL on its way from `sender` to `receiver`."""

    def __init__(self, sender: Server, receiver: Server, slot: str) -> None:
        self.sender = sender
        self.receiver = receiver
        self.slot = slot
        self.name = receiver.member
        self.sent = receiver.disk.written
        self.flushed = self.replayed = 0
        """What the sender knows of the receiver's positions."""
        self.streaming = False
        """False while catching up: such a standby does not count as synchronous."""
        self.sender_open = self.receiver_open = True
        self._loop = asyncio.get_running_loop()
        self.stirred = Bell()
        """Rings when the sender hears from the receiver or gives it up."""
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._flying = False
        self._heard_by_sender = self.heard_at = self._loop.time()
        self._loop.call_later(STATUS_S, self._tick)

    def pump(self) -> None:
        """Send what the sender has flushed and not sent yet."""
        if not self.sender_open or self._flying or self.sender.hung:
            return
        available = self.sender.disk.flushed
        if available <= self.sent:
            self._caught_up()
            return
        upto = min(available, self.sent + CHUNK)
        self._flying = True
        delay = self.sender.site.network.latency() + (upto - self.sent) / BANDWIDTH
        self.sent = upto
        self._loop.call_later(delay, self._arrive, self.sender.disk.branch, upto)

    def _caught_up(self) -> None:
        if not self.streaming and self.flushed >= self.sent:
            self.streaming = True
            self.sender.link_changed(self)

    def _arrive(self, branch: Branch, upto: int) -> None:
        if not self.receiver_open:
            return
        if self.receiver.hung or not self._passes_down():
            if self.sender_open:
                self._loop.call_later(RETRANSMIT_S, self._arrive, branch, upto)
            return
        self.heard_at = self._loop.time()
        if self.receiver.volume.full:
            self.close_receiver()
            return
        self.receiver.intake.take(branch, upto)
        self._loop.call_later(between(self.receiver.rng, self.receiver.hazards.fsync), self._flush, upto)

    def _flush(self, upto: int) -> None:
        if not self.receiver_open:
            return
        if self.receiver.hung:
            self._loop.call_later(RETRANSMIT_S, self._flush, upto)
            return
        self.receiver.intake.flush(upto)
        self._loop.call_later(self.sender.site.network.latency(), self._confirm, upto)

    def _confirm(self, upto: int) -> None:
        if not self.sender_open:
            return
        if self.sender.hung or not self._passes_up():
            self._loop.call_later(RETRANSMIT_S, self._confirm, upto)
            return
        self._heard_by_sender = self._loop.time()
        self.flushed = max(self.flushed, upto)
        self._flying = False
        self.stirred.ring()
        self.sender.confirmed(self)
        self.pump()

    @property
    def silent_for(self) -> float:
        """Seconds since the walreceiver last had a message."""
        return self._loop.time() - self.heard_at

    def _passes_down(self) -> bool:
        return self.sender.site.network.passes(self.sender.host, self.receiver.host)

    def _passes_up(self) -> bool:
        return self.sender.site.network.passes(self.receiver.host, self.sender.host)

    def _tick(self) -> None:
        """Keepalives in both directions, and both timeouts."""
        now = self._loop.time()
        idle = now - self.heard_at >= TIMEOUT_S / 2
        if idle and self.sender_open and not self.sender.hung and self._passes_down():
            # A walreceiver asks for a sign of life when half of its timeout is over, not before.
            self.heard_at = now
        if self.receiver_open and not self.receiver.hung and self._passes_up():
            self._heard_by_sender = now
            self.receiver.intake.replay()
            self.replayed = self.receiver.disk.replayed if self.receiver.volume.data else self.replayed
            self._follow_up()
        if self.receiver_open and not self.receiver.hung and now - self.heard_at > TIMEOUT_S:
            self.close_receiver()
        if self.sender_open and not self.sender.hung and now - self._heard_by_sender > TIMEOUT_S:
            self.close_sender()
        if self.sender_open or self.receiver_open:
            self.pump()
            self._loop.call_later(STATUS_S, self._tick)

    def _follow_up(self) -> None:
        """What a standby does now and then: a restartpoint, which removes old WAL, and copying logical slots. A slot of
        that name that is no copy is in the way."""
        theirs, mine = self.sender.volume.data, self.receiver.volume.data
        if theirs is None or mine is None:
            return
        if mine.checkpoint < theirs.checkpoint <= mine.replayed:
            mine.checkpoint = theirs.checkpoint
            mine.remove_old_wal(self.receiver.hazards.wal_keep)
        if self.sender.in_recovery is not False:
            return
        for name, slot in theirs.logical.items():
            if name not in mine.logical or mine.logical[name].synced:
                mine.logical[name] = replace(slot, lsn=min(slot.lsn, mine.replayed), synced=True)
        for name in [name for name, slot in mine.logical.items() if slot.synced and name not in theirs.logical]:
            del mine.logical[name]

    def reset(self) -> None:
        """The connection breaks: both sides notice at once."""
        self.close_receiver()
        self.close_sender()

    def close_receiver(self) -> None:
        """The walreceiver ends; the walsender hears of it when the network carries the reset."""
        if not self.receiver_open:
            return
        self.receiver_open = False
        if self.receiver.in_recovery:
            # A walreceiver that ends flushes what it has written.
            self.receiver.intake.flush(self.receiver.disk.written)
        if not self.closed.done():
            self.closed.set_result(None)
        if self._passes_up():
            self._loop.call_later(self.sender.site.network.latency(), self.close_sender)

    def close_sender(self) -> None:
        """The walsender ends; the walreceiver hears of it when the network carries the reset."""
        if not self.sender_open:
            return
        self.sender_open = self.streaming = False
        self.stirred.ring()
        self.sender.link_closed(self)
        if self._passes_down():
            self._loop.call_later(self.sender.site.network.latency(), self.close_receiver)


def refusal(sender: Server | None, receiver: Server, slot: str) -> str | None:
    """Why a walsender turns a walreceiver away; None when it streams.

    The checks are Postgres' own, and only those: numbers of timelines and positions, never the content.
    """
    if sender is None or sender.process != "running" or sender.hung or sender.deaf:
        return "connection refused"
    mine, theirs = receiver.disk, sender.disk
    if mine.sysid != theirs.sysid:
        return "database system identifier differs"
    if slot and slot not in theirs.slots:
        return f"replication slot {slot} does not exist"
    if slot and any(link.slot == slot and link.sender_open for link in sender.links.values()):
        return f"replication slot {slot} is active"
    timeline, start = mine.branch.timeline, mine.flushed
    if timeline == theirs.branch.timeline:
        if start > theirs.flushed:
            return "starting point is ahead of the WAL flush position"
    else:
        left = theirs.branch.switches().get(timeline)
        if left is None:
            return f"timeline {timeline} is not in this server's history"
        if start > left:
            return f"position {start:X} on timeline {timeline} is not in this server's history"
    if start // SEGMENT * SEGMENT < theirs.retained_from // SEGMENT * SEGMENT:
        return "requested WAL segment has already been removed"
    return None
