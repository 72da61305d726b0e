"""Another cluster, as far as a standby cluster can see it: one primary at an address that never changes."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from matriarch.testing.fake_postgres_server import Server, SyncNames
from matriarch.testing.fake_postgres_site import Hazards
from matriarch.testing.fake_postgres_wal import FIRST_LSN, DataDir, Volume

if TYPE_CHECKING:
    from simulation.world import World

HOST = "10.200.0.1"
PORT = 5432


class Remote:
    """Writes all the time. Its failures are those of the network between."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = random.Random(f"{world.seed}/remote")
        self.server = Server("remote-0", HOST, world.site, self._rng, Hazards(), Volume(1000))
        world.network.alias[HOST] = "remote"

    def settings(self) -> dict[str, Any]:
        """The section that makes a cluster follow it."""
        return {"host": HOST, "port": PORT}

    def found(self) -> None:
        """Initialise it with data of its own, and let it write."""
        site, server = self._world.site, self.server
        sysid = site.new_sysid()
        branch = site.wal.grow(server.member, sysid, 1, None, FIRST_LSN)
        server.volume.data = DataDir(sysid, branch, FIRST_LSN, FIRST_LSN, FIRST_LSN)
        server.launch(sync=SyncNames(), upstream=None)
        server.open_as_primary()

    def fork(self, source: Server) -> None:
        """Become a promoted copy of a cluster's primary, as after a switch of sites."""
        server = self.server
        server.die("is replaced by a copy")
        server.volume.data = source.disk.copy()
        server.launch(sync=SyncNames(), upstream=None)
        server.process, server.in_recovery = "running", True
        server.leave_recovery()

    async def write(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(self._rng.uniform(0.1, 1.0))
            if self.server.writable:
                self.server.insert(self._rng.randint(100, 5000))
