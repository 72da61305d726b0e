from __future__ import annotations

import ipaddress

import pytest
from lk.addresses import MAXIMUM_INDEX, AddressPlan, overlaps


def test_no_two_instances_share_a_range() -> None:
    networks = [
        ipaddress.ip_network(text) for index in range(MAXIMUM_INDEX + 1) for text in AddressPlan(index, 9).ranges
    ]
    for position, network in enumerate(networks):
        assert network.is_private
        assert not any(network.overlaps(other) for other in networks[position + 1 :])


def test_every_address_is_inside_its_range_and_used_once() -> None:
    plan = AddressPlan(7, 9)
    places = [plan.control_plane, plan.gateway, *(node.endpoint for node in plan.nodes)]
    addresses = [plan.host_address, *(place.address for place in places)]
    assert len(set(addresses)) == len(addresses)
    assert all(ipaddress.ip_address(address) in ipaddress.ip_network(plan.links) for address in addresses)
    assert all(
        ipaddress.ip_network(node.pod_range).subnet_of(ipaddress.ip_network(plan.pods))  # type: ignore[arg-type]
        for node in plan.nodes
    )
    for service in (plan.kubernetes_service, plan.dns_service):
        assert ipaddress.ip_address(service) in ipaddress.ip_network(plan.services)


def test_names_of_links_fit_the_kernel_and_tell_instances_apart() -> None:
    one, eleven = AddressPlan(1, 9), AddressPlan(11, 9)
    assert all(len(plan.host_link) <= 15 for plan in (one, eleven))
    names = {place.namespace for place in (one.control_plane, one.gateway, *(node.endpoint for node in one.nodes))}
    assert not any(name.startswith(f"{eleven.prefix}-") for name in names)
    assert all(name.startswith(f"{one.prefix}-") for name in names)


@pytest.mark.parametrize(
    ("taken", "met"),
    [
        (["192.0.2.0/24"], False),
        (["10.0.0.0/8"], True),
        (["10.103.4.0/24"], True),
        (["10.153.0.1"], True),
        (["10.104.0.0/16", "10.154.0.0/16", "10.204.0.0/24"], False),
        (["fd00::/8"], False),
    ],
)
def test_overlap_with_what_the_machine_routes(taken: list[str], met: bool) -> None:
    assert overlaps(AddressPlan(3, 3), taken) is met


@pytest.mark.parametrize(("index", "nodes"), [(-1, 3), (MAXIMUM_INDEX + 1, 3), (0, 0), (0, 10)])
def test_impossible_plans_are_refused(index: int, nodes: int) -> None:
    with pytest.raises(ValueError, match=r"outside|possible"):
        AddressPlan(index, nodes)


def test_an_unknown_node_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        AddressPlan(0, 3).node("node4")
