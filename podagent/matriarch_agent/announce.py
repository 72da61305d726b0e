"""Kubernetes events about this member: what a person has to know even when nobody reads logs."""

from __future__ import annotations

from datetime import UTC, datetime

from matriarch.ha.view import Me
from matriarch.kube.api import EVENTS, Kube, Object
from matriarch.words.errors import MatriarchError
from matriarch_agent.jobs import Jobs
from matriarch_agent.journal import Log

LONGEST_MESSAGE = 1000


class Announcer:
    """Posts events on this member's pod. Never waits and never fails: an event is not worth an outage."""

    def __init__(self, kube: Kube, me: Me, namespace: str, log: Log, jobs: Jobs) -> None:
        self._kube, self._me, self._namespace, self._log, self._jobs = kube, me, namespace, log, jobs
        self._count = 0

    def say(self, reason: str, message: str, *, warning: bool = False) -> None:
        """Post an event. `message` must hold no secret."""
        self._count += 1
        self._jobs.aside(self._post(self._event(reason, message, warning)), "announce")

    def _event(self, reason: str, message: str, warning: bool) -> Object:
        moment = datetime.now(UTC)
        stamp = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        unique = f"{int(moment.timestamp() * 1e6):x}{self._count:x}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{self._me.name}.{unique}",
                "namespace": self._namespace,
                "labels": dict(self._me.cluster_labels),
            },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": self._me.name,
                "namespace": self._namespace,
                "uid": self._me.pod_uid,
            },
            "reason": reason,
            "message": message[:LONGEST_MESSAGE],
            "type": "Warning" if warning else "Normal",
            "source": {"component": "matriarch-agent", "host": self._me.node},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }

    async def _post(self, event: Object) -> None:
        try:
            await self._kube.create(EVENTS, self._namespace, event, timeout=3.0)
        except MatriarchError as error:
            self._log("event not posted", reason=event["reason"], error=str(error))
