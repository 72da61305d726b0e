"""The Helm chart and the plain manifests."""

from __future__ import annotations

import json

import yaml

from e2e.kubectl import APPS, Helm, Kubectl
from e2e.operator_release import CHART, NAMESPACE, RELEASE, OperatorRelease
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import ROOT, CommandFailed


def test_lint(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_template_is_valid_for_the_api_server(helm: Helm, kubectl: Kubectl, operator: OperatorRelease) -> None:
    rendered = helm("template", RELEASE, str(CHART), "-n", NAMESPACE, "--include-crds")
    kinds = {one["kind"] for one in yaml.safe_load_all(rendered) if one}
    assert {"CustomResourceDefinition", "Deployment", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"} <= kinds
    trial = ("apply", "--server-side", "--force-conflicts", "--dry-run=server")
    kubectl(*trial, "-n", NAMESPACE, "-f", "-", text_in=rendered)


def test_plain_manifests_are_valid_for_the_api_server(kubectl: Kubectl, operator: OperatorRelease) -> None:
    install = str(ROOT / "manifests" / "install.yaml")
    kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", install)
    kubectl("apply", "--dry-run=server", "-f", str(ROOT / "manifests" / "demo.yaml"))
    for sample in sorted((ROOT / "manifests" / "samples").glob("*.yaml")):
        kubectl("apply", "--dry-run=server", "-f", str(sample))


def test_a_wrong_value_is_refused(helm: Helm) -> None:
    try:
        helm("template", RELEASE, str(CHART), "--set", "replicas=many")
    except CommandFailed as error:
        assert "replicas" in str(error)
    else:
        raise AssertionError("values.schema.json lets a word pass for a number")


def test_upgrade_leaves_clusters_alone(healthy: PostgresCluster, operator: OperatorRelease, helm: Helm) -> None:
    before = [(pod["metadata"]["uid"], healthy.restarts(pod["metadata"]["name"])) for pod in healthy.pods()]
    operator.install("resources.requests.memory=72Mi")
    releases = json.loads(helm("list", "-n", NAMESPACE, "-o", "json"))
    assert [(one["name"], one["status"]) for one in releases] == [(RELEASE, "deployed")]
    assert int(releases[0]["revision"]) >= 2
    deployment = operator.kubectl.items(APPS, "deployments", namespace=NAMESPACE)[0]
    requests = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert requests["memory"] == "72Mi"
    healthy.wait_healthy()
    assert [(pod["metadata"]["uid"], healthy.restarts(pod["metadata"]["name"])) for pod in healthy.pods()] == before
