from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml
from lk import render
from lk.addresses import AddressPlan
from lk.layout import Layout


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("LOCALKUBE_STATE", str(tmp_path))
    return Layout("trial", AddressPlan(4, 3))


def test_everything_of_an_instance_is_below_its_folder(layout: Layout, tmp_path: Path) -> None:
    for node in layout.plan.nodes:
        place = layout.node(node)
        for path in (place.folder, place.socket, place.volumes, layout.pki, layout.logs, layout.kubeconfig):
            assert path.is_relative_to(tmp_path / "trial")


def test_nodes_share_neither_disk_nor_groups_nor_addresses(layout: Layout) -> None:
    places = [layout.node(node) for node in layout.plan.nodes]
    for read in (render.kubelet_configuration, render.containerd_configuration, render.cni_configuration):
        assert len({read(place) for place in places}) == len(places)
    settings = [json.loads(render.kubelet_configuration(place)) for place in places]
    for name in ("address", "cgroupRoot", "podLogsDir", "containerRuntimeEndpoint"):
        assert len({setting[name] for setting in settings}) == len(places)


def test_containerd_configuration_is_toml_with_an_own_root(layout: Layout) -> None:
    place = layout.node(layout.plan.nodes[0])
    content = tomllib.loads(render.containerd_configuration(place))
    assert content["root"] == str(place.folder / "containerd")
    assert content["grpc"]["address"] == str(place.socket)
    assert content["plugins"]["io.containerd.grpc.v1.cri"]["restrict_oom_score_adj"] is True


def test_pods_get_addresses_of_their_node(layout: Layout) -> None:
    node = layout.plan.nodes[1]
    first = json.loads(render.cni_configuration(layout.node(node)))["plugins"][0]
    assert first["ipam"]["ranges"] == [[{"subnet": node.pod_range}]]


def test_the_dns_service_has_the_address_that_pods_are_given(layout: Layout) -> None:
    objects = list(yaml.safe_load_all(render.base_objects(layout)))
    service = next(item for item in objects if item["kind"] == "Service")
    told = json.loads(render.kubelet_configuration(layout.node(layout.plan.nodes[0])))["clusterDNS"]
    assert told == [service["spec"]["clusterIP"]] == [layout.plan.dns_service]


def test_service_and_endpoint_ports_have_the_same_names(layout: Layout) -> None:
    """kube-proxy drops a rule without a word when they differ."""
    objects = list(yaml.safe_load_all(render.base_objects(layout)))
    service = next(item for item in objects if item["kind"] == "Service")
    slices = next(item for item in objects if item["kind"] == "EndpointSlice")
    assert {(p["name"], p["port"], p["protocol"]) for p in service["spec"]["ports"]} == {
        (p["name"], p["port"], p["protocol"]) for p in slices["ports"]
    }
    assert slices["endpoints"][0]["addresses"] == [layout.plan.gateway.address]


def test_one_default_storage_class_that_waits_for_the_pod(layout: Layout) -> None:
    objects = [item for item in yaml.safe_load_all(render.base_objects(layout)) if item["kind"] == "StorageClass"]
    usual, sized = objects
    assert usual["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert "annotations" not in sized["metadata"]
    for one in objects:
        assert (one["volumeBindingMode"], one["reclaimPolicy"]) == ("WaitForFirstConsumer", "Delete")


def test_components_meet_each_other(layout: Layout) -> None:
    assert f"--advertise-address={layout.plan.control_plane.address}" in render.api_server(layout)
    assert f"--service-cluster-ip-range={layout.plan.services}" in render.api_server(layout)
    assert f"--cluster-cidr={layout.plan.pods}" in render.proxy(layout, "node1")
    assert layout.plan.api_server.endswith(":6443")
    assert f"bind {layout.plan.gateway.address}" in render.corefile(layout)
