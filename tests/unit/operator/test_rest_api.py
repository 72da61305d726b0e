"""A cluster whose REST API is protected by Secrets that a person makes."""

from __future__ import annotations

from unit.operator.world import NAMESPACE, World

from matriarch.kube import api


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
