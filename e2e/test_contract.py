"""The contract suite of the `Kube` port, on this cluster's API server: the fake may not drift from it."""

from __future__ import annotations

import sys

from e2e.operator_release import OperatorRelease
from e2e.shell import ROOT, run


def test_the_real_api_server_keeps_the_contract(operator: OperatorRelease) -> None:
    argv = [sys.executable, "-m", "pytest", "-q", "-m", "e2e", "tests/contract"]
    env = {"MATRIARCH_KUBECONFIG": operator.kubectl.env["KUBECONFIG"]}
    said = run(argv, env=env, cwd=ROOT, timeout=180)
    assert " passed" in said, said[-500:]
