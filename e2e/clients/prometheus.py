"""A Prometheus that scrapes a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests
import yaml

from e2e.clients.daemon import Daemon
from e2e.ports import free_port
from e2e.shell import NotYet, run


class Prometheus(Daemon):
    """`targets`: `host:port` of the members' REST API."""

    def __init__(self, targets: Sequence[str]) -> None:
        super().__init__("prometheus")
        port = free_port()
        self._url = f"http://127.0.0.1:{port}/api/v1"
        scrape = {"job_name": "patroni", "scrape_interval": "1s", "static_configs": [{"targets": list(targets)}]}
        configuration = self.folder / "prometheus.yml"
        configuration.write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
        self.argv += [
            f"--config.file={configuration}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query's vector. Raises NotYet while it does not answer."""
        try:
            reply = requests.get(f"{self._url}/query", params={"query": expression}, timeout=5)
            found = reply.json()
        except (requests.RequestException, ValueError) as error:
            raise NotYet(f"Prometheus: {error}") from error
        if found.get("status") != "success":
            raise NotYet(f"Prometheus: {found}")
        vector: list[dict[str, Any]] = found["data"]["result"]
        return vector

    def values(self, metric: str, *, label: str = "name") -> dict[str, float]:
        """A metric's last values by a label."""
        return {one["metric"].get(label, ""): float(one["value"][1]) for one in self.query(metric)}


def check_metrics(text: str) -> str:
    """What `promtool check metrics` has to say; nothing when it is content. Raises CommandFailed otherwise."""
    return run(["promtool", "check", "metrics"], text_in=text)
