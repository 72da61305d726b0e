"""Restarts over HTTP: what a member answers, and what that means."""

from __future__ import annotations

import base64
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from unit.rest.certificates import AUTHORITY, MEMBER, STRANGER, Pair

from matriarch.fleet.actions import Restart
from matriarch.kube.api import SECRETS
from matriarch.testing.fake_kube import FakeKubeClient, FakeKubeServer
from matriarch.words import names
from matriarch.words.errors import ConflictError, Forbidden, Invalid, NotFound, Unavailable
from matriarch_operator.member_client import MemberClient

WANTED = Restart("demo-1", "127.0.0.1", "replica")
SECURED = replace(WANTED, scheme="https", tls_secret="certificates", auth_secret="login")


def _kube(**secrets: dict[str, str]) -> FakeKubeClient:
    server = FakeKubeServer()
    for name, content in secrets.items():
        data = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
        server.store.seed(SECRETS, "db", {"metadata": {"name": name, "namespace": "db"}, "data": data})
    return server.client("operator")


CERTIFICATES = {"tls.crt": MEMBER.certificate, "tls.key": MEMBER.key, "ca.crt": AUTHORITY}
LOGIN = {"username": "admin", "password": "pass:wörd\n"}


async def _member(
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    asked: list[Any],
    tls: ssl.SSLContext | None = None,
    body: bytes = b"restart conditions are not satisfied",
    charset: str = "utf-8",
) -> web.AppRunner:
    async def restart(request: web.Request) -> web.Response:
        asked.append(await request.json())
        asked.extend([request.headers["Authorization"]] if "Authorization" in request.headers else [])
        return web.Response(status=status, body=body, headers={"Content-Type": f"text/plain; charset={charset}"})

    application = web.Application()
    application.router.add_post("/restart", restart)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    monkeypatch.setattr(names, "REST_PORT", runner.addresses[0][1])
    return runner


async def test_a_restart_asks_for_the_role_and_the_pending_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    runner = await _member(monkeypatch, 200, asked)
    await MemberClient(_kube()).restart("db", WANTED)
    await runner.cleanup()
    assert asked == [{"restart_pending": True, "role": "replica"}]


async def test_a_member_that_refuses_means_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = await _member(monkeypatch, 503, [])
    with pytest.raises(ConflictError, match="conditions are not satisfied"):
        await MemberClient(_kube()).restart("db", WANTED)
    await runner.cleanup()


@pytest.mark.parametrize("status", [401, 403])
async def test_a_member_that_lets_nobody_ask_is_a_refusal(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    runner = await _member(monkeypatch, status, [], body=b"Access is denied")
    with pytest.raises(Forbidden, match=f"answered {status}: Access is denied"):
        await MemberClient(_kube()).restart("db", WANTED)
    await runner.cleanup()


@pytest.mark.parametrize("charset", ["utf-8", "nonsense"])
async def test_an_answer_that_is_no_text_is_an_answer(monkeypatch: pytest.MonkeyPatch, charset: str) -> None:
    runner = await _member(monkeypatch, 500, [], body=b"\xff\xfe" * 1000, charset=charset)
    with pytest.raises(ConflictError, match="answered 500"):
        await MemberClient(_kube()).restart("db", WANTED)
    await runner.cleanup()


async def test_a_member_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = await _member(monkeypatch, 200, [])
    await runner.cleanup()
    with pytest.raises(Unavailable):
        await MemberClient(_kube()).restart("db", WANTED)


def _server(folder: Path, pair: Pair) -> ssl.SSLContext:
    (folder / "pem").write_text(pair.certificate + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=AUTHORITY)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "pem")
    return context


async def test_a_secured_member_sees_the_certificate_and_the_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []
    runner = await _member(monkeypatch, 200, asked, _server(tmp_path, MEMBER))
    await MemberClient(_kube(certificates=CERTIFICATES, login=LOGIN)).restart("db", SECURED)
    await runner.cleanup()
    shown = "Basic " + base64.b64encode("admin:pass:wörd".encode()).decode()
    assert asked == [{"restart_pending": True, "role": "replica"}, shown]


async def test_a_stranger_gets_no_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []
    runner = await _member(monkeypatch, 200, asked, _server(tmp_path, STRANGER))
    with pytest.raises(Unavailable):
        await MemberClient(_kube(certificates=CERTIFICATES, login=LOGIN)).restart("db", SECURED)
    await runner.cleanup()
    plain = await _member(monkeypatch, 200, asked)
    await MemberClient(_kube(certificates=CERTIFICATES, login=LOGIN)).restart("db", replace(SECURED, scheme="http"))
    await plain.cleanup()
    assert asked == [{"restart_pending": True, "role": "replica"}]


async def test_secrets_that_cannot_be_used() -> None:
    with pytest.raises(NotFound):
        await MemberClient(_kube(login=LOGIN)).restart("db", SECURED)
    with pytest.raises(Invalid, match="lacks password"):
        await MemberClient(_kube(login={"username": "x"})).restart("db", replace(WANTED, auth_secret="login"))
    broken = {**CERTIFICATES, "tls.key": "nonsense"}
    with pytest.raises(Invalid, match="no usable certificates"):
        await MemberClient(_kube(certificates=broken, login=LOGIN)).restart("db", SECURED)
