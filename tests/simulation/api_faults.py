"""The API server: gone, slow, lying, half-working; for one member or for all."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from matriarch.ha import records
from matriarch.kube.api import ENDPOINTS, Object
from matriarch.words import names

if TYPE_CHECKING:
    from simulation.world import World


def _victims(world: World, rng: random.Random) -> list[str]:
    names = [member.name for member in world.members]
    if rng.random() < 0.4:
        return names
    leader = [name for name in names if name == world.truth.holder]
    return leader if leader and rng.random() < 0.5 else [rng.choice(names)]


def outage(world: World, rng: random.Random) -> None:
    """Nothing passes between some members and the API server."""
    victims, seconds = _victims(world, rng), rng.uniform(2, 75)
    world.trace.add("api", f"unreachable for {', '.join(victims)} for {seconds:.1f} s")
    for name in victims:
        world.api_dark(name, True)

    def back() -> None:
        for name in victims:
            world.api_dark(name, False)

    world.later(seconds, back)


def _with(world: World, rng: random.Random, what: str, seconds: float | None = None, /, **changes: Any) -> None:
    victims, seconds = _victims(world, rng), seconds or rng.uniform(3, 60)
    world.trace.add("api", f"{what} for {', '.join(victims)} for {seconds:.1f} s")
    normal = world.calm_api()
    for name in victims:
        for field, value in changes.items():
            setattr(world.kube.faults_for(name), field, value)

    def back() -> None:
        for name in victims:
            for field in changes:
                setattr(world.kube.faults_for(name), field, getattr(normal, field))

    world.later(seconds, back)


def slow(world: World, rng: random.Random) -> None:
    """Every request takes long."""
    most = rng.choice([0.3, 1.0, 2.5])
    _with(world, rng, f"latency up to {most} s", latency=(0.01, most), watch_lag=(0.0, most))


def flaky(world: World, rng: random.Random) -> None:
    """Replies get lost, and every kind of refusal occurs."""
    share = rng.choice([0.05, 0.2])
    fields = (
        "lost_reply",
        "server_error",
        "overloaded",
        "conflict",
        "forbidden",
        "throttled",
        "drop_watch",
        "late",
        "gone",
    )
    chosen = rng.sample(fields, rng.randint(1, len(fields)))
    _with(world, rng, f"flaky ({', '.join(chosen)})", **dict.fromkeys(sorted(chosen), share))


def read_only(world: World, rng: random.Random) -> None:
    """Reads are answered, writes fail (etcd without quorum)."""
    _with(world, rng, "read-only", rng.uniform(3, 120), writes_fail=True)


def write_only(world: World, rng: random.Random) -> None:
    """Writes are answered, reads fail."""
    _with(world, rng, "write-only", rng.uniform(3, 120), reads_fail=True)


def stale_reads(world: World, rng: random.Random) -> None:
    """Reads come from a cache that is behind."""
    seconds = rng.choice([1.0, 5.0, 20.0])
    _with(world, rng, f"reads {seconds:.0f} s old", stale_s=seconds)


def silent_watch(world: World, rng: random.Random) -> None:
    """Streams stay open and bring nothing."""
    _with(world, rng, "watches silent", silent_watch=True)


def lagging_watch(world: World, rng: random.Random) -> None:
    """A watch cache that is behind."""
    _with(world, rng, "watches late", watch_lag=(0.5, rng.choice([2.0, 8.0])))


def stall(world: World, rng: random.Random) -> None:
    """Requests and replies are held up, and delivered when everybody has given them up."""
    victims, seconds = _victims(world, rng), rng.uniform(2, 9)
    world.trace.add("api", f"stalls for {', '.join(victims)} for {seconds:.1f} s")
    for name in victims:
        world.kube.faults_for(name).late = 1.0
        world.api_dark(name, True)

    def back() -> None:
        for name in victims:
            world.api_dark(name, False)
        # What waits is sent again at doubling intervals: give it time before the road forgets.
        world.later(10.0, lambda: _forget_late(world, victims))

    world.later(seconds, back)


def _forget_late(world: World, victims: list[str]) -> None:
    for name in victims:
        world.kube.faults_for(name).late = 0.0


def compaction(world: World, rng: random.Random) -> None:
    """410 Gone for everybody who watches."""
    del rng
    world.kube.compact()


def dropped_streams(world: World, rng: random.Random) -> None:
    """Open watches end."""
    for name in _victims(world, rng):
        world.kube.drop_streams(name, cleanly=rng.random() < 0.5)


def deleted_record(world: World, rng: random.Random) -> None:
    """Somebody deletes the lock or the settings, or a Service and with it the Endpoints of its name. Never the last
    that tells of the data: that is how a person says that the cluster is to begin anew."""
    lock, config = names.lock_object(world.cluster), names.config_object(world.cluster)
    name = rng.choice([lock, config])
    if world.truth.holder is None or _record(world, name) is None:
        return
    left = _record(world, config if name == lock else lock)
    told = left is not None and {"initialize", "optime"} & records.annotations_of(left).keys()
    if not told:
        return
    world.kube.store.delete(ENDPOINTS, world.namespace, name, "Background", None, 0)
    if name == names.config_object(world.cluster):
        world.later(1.0, lambda: _settings_again(world, name))


def _settings_again(world: World, name: str) -> None:
    """What the operator does: it leaves the settings to a leader that may know them, and else makes them from the
    PostgresCluster."""
    found = _record(world, name)
    if found is None and any(member.server.writable for member in world.members):
        world.later(1.0, lambda: _settings_again(world, name))
    elif found is None or "config" not in records.annotations_of(found):
        world.spawn(world.administrator.set_settings({}))


def _record(world: World, name: str) -> Object | None:
    return world.kube.store.table(ENDPOINTS).objects.get((world.namespace, name))


API_FAULTS: dict[str, Callable[[World, random.Random], None]] = {
    "api-outage": outage,
    "api-slow": slow,
    "api-stall": stall,
    "api-flaky": flaky,
    "api-read-only": read_only,
    "api-write-only": write_only,
    "api-stale-reads": stale_reads,
    "api-silent-watch": silent_watch,
    "api-lagging-watch": lagging_watch,
    "api-compaction": compaction,
    "api-dropped-streams": dropped_streams,
}
