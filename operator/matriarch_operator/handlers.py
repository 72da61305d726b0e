"""All that kopf calls: a change of a PostgresCluster goes into the store, which wakes its key. This cannot fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from matriarch.kube.api import Object
from matriarch_operator.store import Store

Login = Callable[[], kopf.ConnectionInfo]


def registry(store: Store, login: Login) -> kopf.OperatorRegistry:
    """The handlers, bound to a store. `login` gives credentials anew whenever kopf asks."""
    found = kopf.OperatorRegistry()

    @kopf.on.login(registry=found)  # type: ignore[untyped-decorator,unused-ignore]
    async def give_credentials(**_: Any) -> kopf.ConnectionInfo:
        return login()

    @kopf.on.event("matriarch.dev", "v1", "postgresclusters", registry=found)  # type: ignore[untyped-decorator,unused-ignore]
    async def seen(event: kopf.RawEvent, **_: Any) -> None:
        resource: Object = dict(event["object"])
        if event["type"] == "DELETED":
            store.drop_cluster((resource["metadata"]["namespace"], resource["metadata"]["name"]))
        else:
            store.put_cluster(resource)

    return found
