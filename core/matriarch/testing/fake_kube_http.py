"""An HTTP face for the fake API server: real clients (our own, kopf) talk to it over a loopback socket.

    async with serve(FakeKubeServer()) as address:   # "http://127.0.0.1:41235"

A caller's identity, and with it its faults, is its bearer token; without one it is "anonymous".
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from matriarch.kube import api
from matriarch.kube.api import Kind, Object
from matriarch.testing.fake_kube import FakeKubeClient, FakeKubeServer
from matriarch.words.errors import (
    AlreadyExists,
    ConflictError,
    Forbidden,
    Gone,
    Invalid,
    MatriarchError,
    NotFound,
    Throttled,
    Unavailable,
)

KNOWN_KINDS = (
    *(value for value in vars(api).values() if isinstance(value, Kind)),
    Kind("v1", "Namespace", "namespaces", namespaced=False),
    Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False),
)
_PATIENCE_S = 3600.0
"""An outage hangs the request until the caller goes away; this only ends what nobody waits for."""

_CODES: tuple[tuple[type[MatriarchError], int, str], ...] = (
    (NotFound, 404, "NotFound"),
    (AlreadyExists, 409, "AlreadyExists"),
    (ConflictError, 409, "Conflict"),
    (Gone, 410, "Expired"),
    (Throttled, 429, "TooManyRequests"),
    (Forbidden, 403, "Forbidden"),
    (Invalid, 422, "Invalid"),
    (Unavailable, 503, "ServiceUnavailable"),
)


@asynccontextmanager
async def serve(
    server: FakeKubeServer, kinds: Iterable[Kind] = KNOWN_KINDS, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve on 127.0.0.1 with a port of the system's choice, by https with `tls`; yields the address."""
    face = _Face(server, tuple(kinds))
    application = web.Application(client_max_size=8 * 1024 * 1024)
    application.router.add_get("/{root:api|apis}", face.groups)
    application.router.add_get("/api/{version}", face.resources)
    application.router.add_get("/apis/{group}/{version}", face.resources)
    for base in ("/api/{version}", "/apis/{group}/{version}"):
        for scope in ("/namespaces/{namespace}", ""):  # the first that fits is taken
            application.router.add_route("*", f"{base}{scope}/{{plural}}", face.collection)
            application.router.add_route("*", f"{base}{scope}/{{plural}}/{{name}}", face.single)
            application.router.add_route("*", f"{base}{scope}/{{plural}}/{{name}}/{{subresource}}", face.single)
    runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class _Face:
    """The request handlers."""

    def __init__(self, server: FakeKubeServer, kinds: tuple[Kind, ...]) -> None:
        self._server = server
        self._kinds = {(kind.group_version, kind.plural): kind for kind in kinds}
        self._pages: dict[str, tuple[list[Object], str]] = {}

    async def groups(self, request: web.Request) -> web.Response:
        if request.match_info["root"] == "api":
            return _json({"kind": "APIVersions", "versions": ["v1"]})
        found: dict[str, list[Object]] = {}
        for group_version in dict.fromkeys(gv for gv, _ in self._kinds if "/" in gv):
            group, version = group_version.split("/")
            found.setdefault(group, []).append({"groupVersion": group_version, "version": version})
        groups = [{"name": name, "versions": vs, "preferredVersion": vs[0]} for name, vs in found.items()]
        return _json({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})

    async def resources(self, request: web.Request) -> web.Response:
        group_version = _group_version(request)
        verbs = ["create", "delete", "get", "list", "patch", "watch"]
        found: list[Object] = []
        for kind in self._kinds.values():
            if kind.group_version == group_version:
                entry: Object = {"name": kind.plural, "singularName": kind.name.lower(), "kind": kind.name}
                found.append({**entry, "namespaced": kind.namespaced, "verbs": verbs})
        if not found:
            return _refusal(NotFound(f"{group_version} is not served"))
        return _json({"kind": "APIResourceList", "groupVersion": group_version, "resources": found})

    async def collection(self, request: web.Request) -> web.StreamResponse:
        try:
            kind, client = self._kind(request), self._client(request)
            namespace = request.match_info.get("namespace")
            if request.method == "POST":
                body = msgspec.json.decode(await request.read())
                return _json(await client.create(kind, namespace or "", body, timeout=_PATIENCE_S), 201)
            if request.method != "GET":
                raise Invalid(f"{request.method} is not served")
            if request.query.get("watch", "").lower() in ("1", "true"):
                return await self._watch(request, kind, client, namespace)
            return _json(await self._list(request, kind, client, namespace))
        except MatriarchError as error:
            return _refusal(error)

    async def single(self, request: web.Request) -> web.Response:
        try:
            kind, client = self._kind(request), self._client(request)
            where = (kind, request.match_info.get("namespace", ""), request.match_info["name"])
            body = msgspec.json.decode(await request.read() or b"{}")
            if request.method == "GET":
                return _json(await client.get(*where, timeout=_PATIENCE_S))
            if request.method == "PATCH":
                return _json(await _patch(request, client, where, body))
            if request.method == "DELETE":
                await client.delete(
                    *where,
                    propagation=body.get("propagationPolicy", "Background"),
                    preconditions=body.get("preconditions"),
                    grace_period_s=body.get("gracePeriodSeconds"),
                    timeout=_PATIENCE_S,
                )
                return _json({"kind": "Status", "apiVersion": "v1", "status": "Success"})
            raise Invalid(f"{request.method} is not served")
        except MatriarchError as error:
            return _refusal(error)

    async def _list(self, request: web.Request, kind: Kind, client: FakeKubeClient, namespace: str | None) -> Object:
        """A page of a snapshot: later pages show the state at the first, until the snapshot is forgotten."""
        token, limit = request.query.get("continue", ""), int(request.query.get("limit", "0"))
        if token:
            if token not in self._pages:
                raise Gone("the provided continue parameter is too old")
            items, version = self._pages.pop(token)
        else:
            labels = request.query.get("labelSelector", "")
            listing = await client.list(kind, namespace, labels=labels, timeout=_PATIENCE_S)
            items, version = list(listing.items), listing.version
        metadata: Object = {"resourceVersion": version}
        if limit and len(items) > limit:
            metadata["continue"] = f"{version}.{len(items)}.{len(self._pages)}"
            metadata["remainingItemCount"] = len(items) - limit
            self._pages[metadata["continue"]] = (items[limit:], version)
            items = items[:limit]
        return {
            "kind": f"{kind.name}List",
            "apiVersion": kind.group_version,
            "metadata": metadata,
            "items": items,
        }

    async def _watch(
        self, request: web.Request, kind: Kind, client: FakeKubeClient, namespace: str | None
    ) -> web.StreamResponse:
        labels, version = request.query.get("labelSelector", ""), request.query.get("resourceVersion", "")
        first: list[Object] = []
        if version in ("", "0"):
            listing = await client.list(kind, namespace, labels=labels, timeout=_PATIENCE_S)
            first, version = list(listing.items), listing.version
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()  # as the real one does, and Patroni's clients rely on it
        await response.prepare(request)
        limit_s = float(request.query.get("timeoutSeconds", _PATIENCE_S))
        try:
            async with (
                asyncio.timeout(limit_s),
                aclosing(client.watch(kind, namespace, labels=labels, version=version, idle_timeout=1e6)) as events,
            ):
                for item in first:
                    await response.write(_line("ADDED", item))
                async for event in events:
                    if event.type != "BOOKMARK" or request.query.get("allowWatchBookmarks") in ("1", "true"):
                        await response.write(_line(event.type, event.object))
        except TimeoutError:
            return response  # as at the real server's time limit: a clean end
        except Gone as error:
            await response.write(_line("ERROR", _status(error)))
        except MatriarchError:
            if request.transport is not None:
                request.transport.abort()
        return response

    def _client(self, request: web.Request) -> FakeKubeClient:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return self._server.client(token or "anonymous")

    def _kind(self, request: web.Request) -> Kind:
        key = (_group_version(request), request.match_info["plural"])
        if key not in self._kinds:
            raise NotFound(f"{key[0]} {key[1]} is not served")
        return self._kinds[key]


async def _patch(request: web.Request, client: FakeKubeClient, where: tuple[Kind, str, str], body: Any) -> Object:
    subresource = request.match_info.get("subresource", "")
    match request.content_type:
        case "application/apply-patch+yaml":
            manager, force = request.query.get("fieldManager", ""), request.query.get("force") == "true"
            return await client.apply(
                *where, body, manager=manager, force=force, subresource=subresource, timeout=_PATIENCE_S
            )
        case "application/merge-patch+json" | "application/strategic-merge-patch+json":
            # The same for maps, and for lists without a merge key, such as subsets; nobody here sends others.
            return await client.patch(*where, body, subresource=subresource, timeout=_PATIENCE_S)
        case "application/json-patch+json":
            return await client.patch(*where, body, patch_type="json", subresource=subresource, timeout=_PATIENCE_S)
        case other:
            raise Invalid(f"{other} is not a patch that is served")


def _group_version(request: web.Request) -> str:
    group, version = request.match_info.get("group"), request.match_info["version"]
    return f"{group}/{version}" if group else version


def _json(body: Object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def _line(kind: str, item: Object) -> bytes:
    return msgspec.json.encode({"type": kind, "object": item}) + b"\n"


def _status(error: MatriarchError) -> Object:
    code, reason = next(((code, reason) for known, code, reason in _CODES if isinstance(error, known)), (500, ""))
    status: Object = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": str(error)}
    return {**status, "reason": reason, "code": code}


def _refusal(error: MatriarchError) -> web.Response:
    status = _status(error)
    response = _json(status, status["code"])
    if isinstance(error, Throttled):
        response.headers["Retry-After"] = str(round(error.retry_after_s))
    return response
