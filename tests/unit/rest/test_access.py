"""Who may ask for what: addresses, certificates, passwords, each against a real server with real TLS."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from unit.ha.document_cases import view_of
from unit.rest.certificates import AUTHORITY, MEMBER, RENEWED, STRANGER, Pair
from unit.rest.fake_face import FakeFace, FakePeers

from matriarch.ha.documents.access import AccessRules, Caller, Credentials, network_of, refusal_of
from matriarch.ha.view import View
from matriarch.words.errors import Invalid
from matriarch_agent.peers import HttpPeers
from matriarch_agent.ports import FailsafeClaim
from matriarch_agent.rest.configuration import RestConfiguration, read_configuration
from matriarch_agent.rest.material import read_material
from matriarch_agent.rest.server import ProbeServer, RestServer
from matriarch_agent.rest.service import RestService

USER = Credentials("admin", "pass:wörd")
RULES = AccessRules(credentials=USER)
NETWORK = network_of("10.1.0.0/16")
CLAIM = FailsafeClaim("demo-0", "http://10.0.0.10:8008/patroni", "postgres://10.0.0.10:5432/postgres")
assert NETWORK is not None


def asks(method: str = "POST", segment: str = "restart", **more: Any) -> Caller:
    return Caller(method, segment, more.pop("address", "10.1.2.3"), **more)


def status(caller: Caller, rules: AccessRules, members: tuple[str, ...] = ()) -> int | None:
    refusal = refusal_of(caller, rules, members)
    return refusal.status if refusal is not None else None


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_only_reads_is_open(method: str) -> None:
    strict = AccessRules(USER, "optional", allowed=())
    assert status(asks(method, "config"), strict) is None


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (None, "no auth header received"),
        ("", "not authenticated"),
        ("Basic", "not authenticated"),
        ("Basic !!!", "not authenticated"),
        ("Bearer " + USER.header.partition(" ")[2], "not authenticated"),
        (Credentials("admin", "pass:word").header, "not authenticated"),
        (Credentials("admin", "").header, "not authenticated"),
        ("Basic " + base64.b64encode("admin:pass:wörd".encode("latin-1")).decode(), "not authenticated"),
    ],
)
def test_wrong_passwords(header: str | None, text: str) -> None:
    refusal = refusal_of(asks(authorization=header), RULES, ())
    assert refusal is not None and (refusal.status, refusal.text) == (401, text)


def test_the_right_password() -> None:
    assert status(asks(authorization=USER.header), RULES) is None
    assert status(asks(authorization=USER.header.replace("Basic", "basic")), RULES) is None
    assert "wörd" not in repr(RULES)


@pytest.mark.parametrize(
    ("rules", "caller", "members", "expected"),
    [
        (AccessRules(allowed=(NETWORK,)), asks(), (), None),
        (AccessRules(allowed=(NETWORK,)), asks(address="::ffff:10.1.9.9"), (), None),
        (AccessRules(allowed=(NETWORK,)), asks(address="10.2.0.1"), (), 403),
        (AccessRules(allowed=(NETWORK,)), asks(address="10.2.0.1"), ("10.2.0.1",), 403),
        (AccessRules(allowed=(NETWORK,), include_members=True), asks(address="10.2.0.1"), ("10.2.0.1",), None),
        (AccessRules(include_members=True), asks(address="10.2.0.1"), ("10.2.0.2", "not an address"), 403),
        (AccessRules(allowed=(NETWORK,)), asks(segment="failsafe", address="10.2.0.1"), ("10.2.0.1",), None),
        (AccessRules(allowed=(NETWORK,)), asks(segment="failsafe", address="10.2.0.1"), (), 403),
        (AccessRules(include_members=True), asks(segment="failsafe", address="10.2.0.1"), (), None),
        (AccessRules(allowed=()), asks(), (), 403),
        (AccessRules(allowed=(NETWORK,)), asks(address=""), (), 403),
    ],
)
def test_addresses(rules: AccessRules, caller: Caller, members: tuple[str, ...], expected: int | None) -> None:
    assert status(caller, rules, members) == expected


def test_the_order_is_address_certificate_password() -> None:
    rules = AccessRules(USER, "optional", (NETWORK,))
    words = [refusal_of(asks(address=address, certificate=shown), rules, ()) for address, shown in CASES]
    assert [refusal.text if refusal else "" for refusal in words] == [
        "Access is denied",
        "client certificate required",
        "no auth header received",
    ]


CASES = (("10.2.0.1", False), ("10.1.0.1", False), ("10.1.0.1", True))


# --- over real sockets ------------------------------------------------------------------------------------------------


def secrets(folder: Path, pair: Pair = MEMBER, authority: str = AUTHORITY, user: Credentials = USER) -> None:
    for name, words in {
        "tls/tls.crt": pair.certificate,
        "tls/tls.key": pair.key,
        "tls/ca.crt": authority,
        "auth/username": user.username,
        "auth/password": user.password + "\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(words)


def configured(folder: Path, **more: Any) -> RestConfiguration:
    return RestConfiguration(tls=folder / "tls", auth=folder / "auth", **more)


def client(pair: Pair | None = None, folder: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=AUTHORITY)
    if pair is not None and folder is not None:
        (folder / "client.pem").write_text(pair.certificate + pair.key)
        context.load_cert_chain(folder / "client.pem")
    return context


class Served:
    """A member whose REST API is served from Secrets that the test may change."""

    def __init__(self, configuration: RestConfiguration, view: View | None = None) -> None:
        self.face = FakeFace(view)
        self.server = RestServer(self.face, FakePeers(), "127.0.0.1", 0, configuration)
        self.peers = HttpPeers("demo")
        self.complaints: list[str] = []
        self.service = RestService(self.server, self.peers, configuration, self.complaints.append, lambda *_, **__: 0)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.port}"

    async def ask(self, method: str, path: str, tls: ssl.SSLContext, user: Credentials | None = None) -> int:
        headers = {"Authorization": user.header} if user else {}
        body = b"{}" if method != "GET" else None
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url + path, ssl=tls, headers=headers, data=body) as answer,
        ):
            return answer.status


@contextlib.asynccontextmanager
async def serving(configuration: RestConfiguration, view: View | None = None) -> AsyncIterator[Served]:
    served = Served(configuration, view)
    await served.service.look()
    try:
        yield served
    finally:
        await served.peers.close()
        await served.server.close()


async def test_tls_and_a_password(tmp_path: Path) -> None:
    secrets(tmp_path)
    async with serving(configured(tmp_path, headers={"X-Team": "shop"})) as served:
        assert await served.ask("GET", "/primary", client()) == 200
        assert await served.ask("POST", "/reload", client()) == 401
        assert await served.ask("POST", "/reload", client(), USER) == 202
        assert served.face.asked == [("reload",)]
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{served.url}/reload", ssl=client()) as answer:
                assert answer.headers["WWW-Authenticate"] == 'Basic realm="Patroni"'
                assert answer.headers["X-Team"] == "shop"
                assert await answer.text() == "no auth header received"
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://127.0.0.1:{served.server.port}/primary")


async def test_an_optional_client_certificate(tmp_path: Path) -> None:
    secrets(tmp_path)
    async with serving(configured(tmp_path, verify_client="optional")) as served:
        assert await served.ask("GET", "/primary", client()) == 200
        assert await served.ask("POST", "/reload", client(), USER) == 403
        assert await served.ask("POST", "/reload", client(MEMBER, tmp_path), USER) == 202
        with pytest.raises(aiohttp.ClientError):
            await served.ask("GET", "/primary", client(STRANGER, tmp_path))


async def test_a_required_client_certificate_and_the_door_for_probes(tmp_path: Path) -> None:
    secrets(tmp_path)
    async with serving(configured(tmp_path, verify_client="required")) as served:
        with pytest.raises(aiohttp.ClientError):
            await served.ask("GET", "/primary", client())
        assert await served.ask("GET", "/primary", client(MEMBER, tmp_path)) == 200
        probes = ProbeServer(served.face, "127.0.0.1", 0)
        await probes.start()
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{probes.port}") as session:
                for path, expected in (("/liveness", 200), ("/readiness", 200), ("/patroni", 404), ("/config", 404)):
                    async with session.get(path) as answer:
                        assert (answer.status, await answer.text()) == (expected, "")
                async with session.post("/liveness") as answer:
                    assert answer.status == 404
        finally:
            await probes.close()


async def test_a_new_certificate_is_served_without_a_refused_connection(tmp_path: Path) -> None:
    secrets(tmp_path)
    async with serving(configured(tmp_path)) as served:
        refused = 0

        async def knock() -> None:
            nonlocal refused
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
                    writer.close()
                except ConnectionRefusedError:
                    refused += 1
                await asyncio.sleep(0)

        knocking = asyncio.create_task(knock())
        serials = [await serial(served)]
        for pair in (RENEWED, MEMBER):
            secrets(tmp_path, pair, user=Credentials("admin", f"new {len(serials)}"))
            await served.service.look()
            serials.append(await serial(served))
        knocking.cancel()
        assert serials[0] == serials[2] != serials[1] and refused == 0
        assert await served.ask("POST", "/reload", client(), USER) == 401
        assert await served.ask("POST", "/reload", client(), Credentials("admin", "new 2")) == 202
        assert served.complaints == []


async def serial(served: Served) -> str:
    _, writer = await asyncio.open_connection("127.0.0.1", served.server.port, ssl=client())
    found = str(writer.get_extra_info("peercert")["serialNumber"])
    writer.close()
    return found


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tls/tls.crt", RENEWED.certificate),
        ("tls/tls.key", "nonsense"),
        ("tls/ca.crt", ""),
        ("tls/ca.crt", None),
        ("auth/password", ""),
        ("auth/username", "ad:min"),
    ],
)
async def test_broken_secrets_keep_the_former_ones_in_use(tmp_path: Path, file: str, content: str | None) -> None:
    secrets(tmp_path)
    async with serving(configured(tmp_path)) as served:
        if content is None:
            (tmp_path / file).unlink()
        else:
            (tmp_path / file).write_text(content)
        for _ in range(3):
            await served.service.look()
        assert len(served.complaints) == 1
        folder, _, name = file.partition("/")
        assert folder in served.complaints[0] and name.partition(".")[0] in served.complaints[0]
        assert not any(secret in served.complaints[0] for secret in (USER.password, "nonsense"))
        assert await served.ask("POST", "/reload", client(), USER) == 202


async def test_without_usable_secrets_nothing_is_served(tmp_path: Path) -> None:
    async with serving(configured(tmp_path)) as served:
        assert "not served" in served.complaints[0] and served.server.port == 0
        secrets(tmp_path)
        await served.service.look()
        assert await served.ask("GET", "/primary", client()) == 200


async def test_members_speak_https_to_each_other(tmp_path: Path) -> None:
    secrets(tmp_path)
    async with serving(configured(tmp_path, verify_client="required"), view_of("demo-1")) as served:
        url = f"{served.url}/patroni"
        assert (await served.peers.ask("demo-1", url, timeout=2)).reachable
        assert await served.peers.claim(url, CLAIM, timeout=2)
        async with HttpPeers("demo") as nobody:
            assert not (await nobody.ask("demo-1", url, timeout=2)).reachable
        async with HttpPeers("demo") as wrong:
            material = read_material(configured(tmp_path))
            wrong.identify(material.client, Credentials("admin", "wrong"))
            assert (await wrong.ask("demo-1", url, timeout=2)).reachable
            assert not await wrong.claim(url, CLAIM, timeout=2)


async def test_a_member_of_another_authority_is_not_believed(tmp_path: Path) -> None:
    secrets(tmp_path, STRANGER)
    async with serving(configured(tmp_path), view_of("demo-1")) as served:
        assert not (await served.peers.ask("demo-1", f"{served.url}/patroni", timeout=2)).reachable


async def test_a_member_without_tls_yet_finds_one_that_has_it(tmp_path: Path) -> None:
    secrets(tmp_path)
    async with serving(configured(tmp_path), view_of("demo-1")) as served, HttpPeers("demo") as plain:
        assert (await plain.ask("demo-1", f"{served.url}/patroni", timeout=2)).reachable


async def test_a_password_for_tls_does_not_go_in_the_clear(tmp_path: Path) -> None:
    secrets(tmp_path)
    material = read_material(configured(tmp_path))
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nAccepted")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/patroni"
    async with HttpPeers("demo") as peers:
        peers.identify(material.client, USER)
        assert await peers.claim(url, CLAIM, timeout=2)
        peers.identify(None, USER)
        assert await peers.claim(url, CLAIM, timeout=2)
    server.close()
    assert [b"Authorization" in head for head in heads] == [False, True]


async def test_names_in_the_allowlist_are_looked_up(tmp_path: Path) -> None:
    secrets(tmp_path)
    async with serving(configured(tmp_path, allowlist=("localhost",))) as served:
        assert await served.ask("POST", "/reload", client(), USER) == 202
    async with serving(configured(tmp_path, allowlist=("nobody.invalid",))) as served:
        assert await served.ask("POST", "/reload", client(), USER) == 403


# --- the environment --------------------------------------------------------------------------------------------------


def test_the_environment() -> None:
    assert read_configuration({}) == RestConfiguration()
    text = '{"tls": true, "auth": true, "verify_client": "required", "allowlist": ["10.0.0.0/8"]'
    found = read_configuration({"MATRIARCH_REST": text + ', "headers": {"A": "b"}}', "MATRIARCH_REST_SECRETS": "/s"})
    assert (found.tls, found.auth, found.scheme) == (Path("/s/tls"), Path("/s/auth"), "https")
    assert found.separate_probes and found.allowlist == ("10.0.0.0/8",) and found.headers == {"A": "b"}


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        '{"verify_client": "required"}',
        '{"verify_client": "yes"}',
        '{"allowlist": "10.0.0.0/8"}',
        '{"headers": {"A": "b\\r\\nC: d"}}',
    ],
)
def test_a_wrong_environment_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="MATRIARCH_REST"):
        read_configuration({"MATRIARCH_REST": text})
