"""Events for people, on the PostgresCluster. The same event again raises its count instead of making a new object."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from matriarch.fleet.actions import Note
from matriarch.fleet.difference import digest
from matriarch.kube.api import EVENTS, Kube, Object
from matriarch.spec.resource import GROUP_VERSION, KIND
from matriarch.words.errors import AlreadyExists, MatriarchError

COMPONENT = "matriarch-operator"
MAX_MESSAGE = 1000

log = structlog.get_logger(__name__)


class Recorder:
    """Writes events; one that cannot be written is logged, and holds up nothing."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    async def record(self, resource: Object, note: Note) -> None:
        """Tells people what happened to a cluster."""
        metadata = resource["metadata"]
        log.info(
            "event", cluster=metadata["name"], namespace=metadata["namespace"], reason=note.reason, text=note.message
        )
        try:
            await self._write(metadata, note)
        except MatriarchError as error:
            log.warning("event not written", reason=note.reason, error=str(error))

    async def _write(self, metadata: Object, note: Note) -> None:
        namespace, now = metadata["namespace"], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kind = "Warning" if note.warning else "Normal"
        name = f"{metadata['name']}.{digest([metadata['uid'], note.reason, note.message, kind])}"
        body: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": GROUP_VERSION,
                "kind": KIND,
                "name": metadata["name"],
                "namespace": namespace,
                "uid": metadata["uid"],
            },
            "type": kind,
            "reason": note.reason,
            "message": note.message[:MAX_MESSAGE],
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._kube.create(EVENTS, namespace, body)
        except AlreadyExists:
            known = await self._kube.get(EVENTS, namespace, name)
            again = {"count": int(known.get("count") or 1) + 1, "lastTimestamp": now}
            await self._kube.patch(EVENTS, namespace, name, again)
