"""A cluster whose REST API is protected by Secrets that a person makes."""

from __future__ import annotations

from typing import Any

import pytest
from unit.operator.world import NAMESPACE, World

from matriarch.kube import api
from matriarch.words import labels
from matriarch.words.errors import Forbidden


async def test_members_wait_for_the_secrets_that_the_spec_names() -> None:
    world = World()
    await world.apply()
    await world.settle()
    before = (await world.everything(api.STATEFUL_SETS))["demo"]["spec"]
    await world.apply(restApi={"tls": {"secretName": "shop-tls"}})
    await world.settle()
    assert (await world.everything(api.STATEFUL_SETS))["demo"]["spec"] == before
    status = await world.status()
    degraded = next(one for one in status["conditions"] if one["type"] == "Degraded")
    assert degraded["status"] == "True"
    assert degraded["message"].startswith("spec.restApi.tls.secretName: there is no Secret shop-tls: create it")
    assert world.wake == 10.0
    secret = {"metadata": {"name": "shop-tls", "namespace": NAMESPACE}, "data": {"tls.crt": "", "tls.key": ""}}
    await world.outside.create(api.SECRETS, NAMESPACE, secret)
    await world.settle()
    degraded = next(one for one in (await world.status())["conditions"] if one["type"] == "Degraded")
    assert degraded["message"] == "spec.restApi.tls.secretName: the Secret shop-tls lacks ca.crt"
    await world.outside.patch(api.SECRETS, NAMESPACE, "shop-tls", {"data": {"ca.crt": ""}})
    await world.settle()
    after = (await world.everything(api.STATEFUL_SETS))["demo"]["spec"]
    assert after["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert not await world.look()


async def _refuse(world: World, monkeypatch: pytest.MonkeyPatch, *secrets: str) -> None:
    """The operator may not read these."""
    get = type(world.kube).get

    async def refusing(client: Any, kind: api.Kind, namespace: str, name: str, **given: Any) -> api.Object:
        if client is world.kube and kind is api.SECRETS and name in secrets:
            raise Forbidden(f'secrets "{name}" is forbidden')
        return await get(client, kind, namespace, name, **given)

    monkeypatch.setattr(type(world.kube), "get", refusing)


async def test_a_secret_that_may_not_be_read_is_told_and_holds_up_only_what_would_wait_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (await world.everything(api.STATEFUL_SETS))["demo"]["spec"]
    with monkeypatch.context() as patched:
        await _refuse(world, patched, "shop-tls")
        await world.apply(restApi={"tls": {"secretName": "shop-tls"}}, parameters={"work_mem": "8MB"})
        await world.annotate(labels.REQUEST_SWITCHOVER, "demo-1")
        await world.settle()
        assert world.last_error is None
        status = await world.status()
        assert status["primary"] == "demo-1"
        degraded = next(one for one in status["conditions"] if one["type"] == "Degraded")
        assert degraded["message"] == (
            "spec.restApi.tls.secretName: the operator may not read the Secret shop-tls: let its ServiceAccount `get` "
            "secrets in this namespace, or name another Secret"
        )
        assert "NeedsAttention" in await world.events()
        config = (await world.everything(api.ENDPOINTS))["demo-config"]["metadata"]["annotations"]["config"]
        assert "8MB" in config
        assert (await world.everything(api.STATEFUL_SETS))["demo"]["spec"] == before
        assert world.wake == 10.0
    keys = dict.fromkeys(("tls.crt", "tls.key", "ca.crt"), "")
    await world.outside.create(api.SECRETS, NAMESPACE, {"metadata": {"name": "shop-tls"}, "data": keys})
    await world.settle()
    assert (await world.everything(api.STATEFUL_SETS))["demo"]["spec"] != before
    assert (await world.status())["phase"] == "Running"


async def test_a_secret_that_the_pods_have_already_holds_up_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = {"username": "YQ==", "password": "YQ=="}
    await world.outside.create(api.SECRETS, NAMESPACE, {"metadata": {"name": "shop-rest"}, "data": login})
    await world.apply(restApi={"auth": {"secretName": "shop-rest"}})
    await world.settle()
    await _refuse(world, monkeypatch, "shop-rest")
    await world.apply(instances=2)
    await world.settle()
    assert set(await world.everything(api.PODS)) == {"demo-0", "demo-1"}
    degraded = next(one for one in (await world.status())["conditions"] if one["type"] == "Degraded")
    assert "may not read the Secret shop-rest" in degraded["message"]
