"""How much memory a member's own two processes hold while nothing happens: init and the agent, beside a real Postgres
and an API server that speaks HTTP."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import sys
from pathlib import Path

import pytest
from component.postgres.member import Members, children_of, eventually, programs, resident_kb
from e2e.ports import free_port
from unit.rest.certificates import AUTHORITY, MEMBER

from matriarch.kube.api import ENDPOINTS, PODS
from matriarch.testing.fake_kube import FakeKubeServer
from matriarch.testing.fake_kube_http import serve
from matriarch.words import labels, names

pytestmark = pytest.mark.component

AGENT = """
import ssl
import sys
from functools import partial
import matriarch_agent.__main__ as program
import matriarch_agent.postgres as adapter
from matriarch.kube.auth import Connection

program.in_cluster = lambda: Connection({address!r}, ssl.create_default_context(cafile={authority!r}))
program.REST_PORT = {rest}
adapter.Place = partial(adapter.Place, port={port}, listen="127.0.0.1")
program.main()
"""
AGENT_AND_INIT_KB = 45_000
"""With this machine's Python, whichever that is; `e2e/test_create.py` asks the same of the image's own, in pods."""
IDLE_S = 6.0


def pod(name: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": "default", "uid": "uid-1", "labels": labels.cluster_labels("demo")}
    return {"metadata": metadata, "spec": {"nodeName": "node"}, "status": {"podIP": "127.0.0.1", "phase": "Running"}}


def certificate(folder: Path) -> ssl.SSLContext:
    """The API server's; its authority is in `ca.crt`."""
    for name, words in (("ca.crt", AUTHORITY), ("tls.pem", MEMBER.certificate + MEMBER.key)):
        (folder / name).write_text(words)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem")
    return context


def agent_of(init: int) -> int:
    """init's children are the agent and the postmaster."""
    return next(pid for pid in children_of(init) if b"matriarch_agent" in Path(f"/proc/{pid}/cmdline").read_bytes())


def proportional_kb(pid: int) -> int:
    """Memory with what is shared counted once between those who share it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1])


async def test_init_and_agent_are_small_while_nothing_happens(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeKubeServer(random.Random(1))
    settings = json.dumps({"synchronous_mode": False, "postgresql": {"parameters": {"shared_buffers": "16MB"}}})
    config = {"name": names.config_object("demo"), "namespace": "default", "labels": labels.cluster_labels("demo")}
    server.store.seed(ENDPOINTS, "default", {"metadata": {**config, "annotations": {"config": settings}}})
    server.store.seed(PODS, "default", pod("demo-0"))
    base = members.base / "demo-0"
    for name, value in {
        "MEMBER": "demo-0",
        "CLUSTER": "demo",
        "POD_IP": "127.0.0.1",
        "POD_UID": "uid-1",
        "SECRETS": str(base / "secrets"),
        "PG_BIN": str(programs()),
        "REST_HOST": "127.0.0.1",
    }.items():
        monkeypatch.setenv(f"MATRIARCH_{name}", value)

    def leads() -> bool:
        lock = server.store.get(ENDPOINTS, "default", names.lock_object("demo")) if made() else {}
        status = server.store.get(PODS, "default", "demo-0")["metadata"].get("annotations", {}).get(labels.STATUS, "{}")
        return bool(lock) and json.loads(status).get("role") in ("primary", "master")

    def made() -> bool:
        listed = server.store.list(ENDPOINTS, "default", "").items
        return any(item["metadata"]["name"] == names.lock_object("demo") for item in listed)

    async with serve(server, tls=certificate(members.base)) as address:
        authority = str(members.base / "ca.crt")
        script = AGENT.format(address=address, authority=authority, rest=free_port(), port=free_port())
        member = await members.make("demo-0", (sys.executable, "-c", script))
        await eventually(leads, 60.0)
        await asyncio.sleep(IDLE_S)
        init = member.process.pid
        both = (("init", init), ("agent", agent_of(init)))
        figures = {who: (resident_kb(pid), proportional_kb(pid)) for who, pid in both}
    print(f"resident and proportional kB: {figures}")
    assert sum(resident for resident, _ in figures.values()) <= AGENT_AND_INIT_KB
