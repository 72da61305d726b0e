"""How a cluster comes to certificates that everybody has to show."""

from __future__ import annotations

import json

import pytest
from unit.fleet.builders import a_view

from matriarch.fleet.render.pod import pod_template
from matriarch.fleet.view import Key
from matriarch.kube.api import Object

REQUIRED = {"tls": {"secretName": "t"}, "verifyClient": "required"}


def _pod(name: str, url: str | None) -> Object:
    said = {"status": json.dumps({"api_url": url})} if url else {}
    return {"metadata": {"name": name, "annotations": said}, "status": {}}


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ([], "required"),
        (["http://10.0.0.1:8008/patroni", "http://10.0.0.2:8008/patroni"], "optional"),
        (["http://10.0.0.1:8008/patroni", "https://10.0.0.2:8008/patroni"], "optional"),
        (["https://10.0.0.1:8008/patroni", "https://10.0.0.2:8008/patroni"], "required"),
        (["https://10.0.0.1:8008/patroni", None], "required"),
    ],
)
def test_certificates_are_required_once_everybody_has_one(urls: list[str | None], expected: str) -> None:
    children: dict[Key, Object] = {("Pod", f"demo-{n}"): _pod(f"demo-{n}", url) for n, url in enumerate(urls)}
    view = a_view(children, restApi=REQUIRED)
    assert view.spec is not None
    container = pod_template(view, view.spec)["spec"]["containers"][0]
    (told,) = [json.loads(one["value"]) for one in container["env"] if one["name"] == "MATRIARCH_REST"]
    assert told["verify_client"] == expected
    assert container["livenessProbe"]["httpGet"]["scheme"] == ("HTTP" if expected == "required" else "HTTPS")
