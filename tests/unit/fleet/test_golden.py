"""Rendered manifests, compared with the files under tests/golden.

A difference is either a mistake or a change that its author wants reviewed: `PYTHONPATH=tests
python tests/unit/fleet/test_golden.py` writes the files anew, and the diff tells what a user's cluster will see.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.fleet.builders import a_view

from matriarch.fleet.actions import Apply, Create
from matriarch.fleet.plan import decide

GOLDEN = Path(__file__).resolve().parents[2] / "golden"

CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "single": {"instances": 1, "storage": {"size": "5Gi", "reclaimPolicy": "Delete"}},
    "everything": {
        "instances": 5,
        "image": "example.org/pg:17",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "registry"}],
        "storage": {"size": "100Gi", "storageClass": "fast"},
        "resources": {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"memory": "8Gi"}},
        "parameters": {"max_connections": 200, "work_mem": "32MB", "jit": False},
        "pgHba": ["host all all 10.0.0.0/8 scram-sha-256"],
        "pgIdent": ["people alice app"],
        "synchronous": {"mode": "quorum", "strict": True, "count": 2},
        "failover": {"ttl": 30, "loopWait": 10, "retryTimeout": 10, "failsafe": False, "maximumLag": "16Mi"},
        "bootstrap": {"database": "shop", "owner": "keeper", "locale": "de_DE.UTF-8", "dataChecksums": False},
        "tags": [{"ordinal": 3, "noFailover": True, "replicateFrom": 2}, {"ordinal": 2, "syncPriority": 5}],
        "restApi": {
            "tls": {"secretName": "shop-tls"},
            "auth": {"secretName": "shop-rest"},
            "verifyClient": "required",
            "allowlist": ["10.0.0.0/8", "fd00::/64", "admin.ops.svc"],
            "allowlistIncludeMembers": True,
            "extraHeaders": {"X-Team": "sh$(op)"},
        },
        "nodeSelector": {"disk": "nvme"},
        "tolerations": [{"key": "db", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
                }
            }
        },
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "priorityClassName": "database",
        "podAnnotations": {"team": "shop", "status": "forged", "matriarch.dev/template-hash": "forged"},
        "serviceAnnotations": {"team": "shop"},
        "paused": True,
    },
}


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def rendered(case: str) -> str:
    """Everything that the first look makes, in its order."""
    made = [action for action in decide(a_view(**CASES[case])).actions if isinstance(action, Apply | Create)]
    bodies = (yaml.dump(dict(action.body), Dumper=_Plain, sort_keys=False, width=120) for action in made)
    return "---\n".join(bodies)


@pytest.mark.parametrize("case", CASES)
def test_rendered_manifests(case: str) -> None:
    assert rendered(case) == (GOLDEN / f"{case}.yaml").read_text()


if __name__ == "__main__":
    for one in CASES:
        (GOLDEN / f"{one}.yaml").write_text(rendered(one))
