"""The cluster as the proof sees it, read from objects as the API server gives them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from metallab.cluster import metallb_status
from metallab.cluster.api import Cluster
from metallab.cluster.metallb_status import MetallbStatus, ServiceStatus
from metallab.config import Lab
from metallab.proof.adapter import RealCluster
from metallab.proof.subject import TCP_SERVICE, UDP_SERVICE, ServiceState

LAB = Lab()


def service(name: str, protocol: str, *addresses: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 5201, "protocol": protocol}]},
        "status": {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]} if addresses else {}},
    }


class Objects:
    """The part of a cluster client that reads one object by name."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = {item["metadata"]["name"]: item for item in objects}

    def get(self, api_version: str, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        assert (api_version, kind, namespace) == ("v1", "Service", "default")
        return self.objects.get(name)


def side(*objects: dict[str, Any]) -> RealCluster:
    return RealCluster(LAB, cast("Cluster", Objects(*objects)))


def test_services_that_exist_with_their_addresses() -> None:
    found = side(service(TCP_SERVICE, "TCP", "192.168.96.70"), service(UDP_SERVICE, "UDP")).services()
    assert found == (
        ServiceState(TCP_SERVICE, "TCP", 5201, LAB.vip),
        ServiceState(UDP_SERVICE, "UDP", 5201, None),
    )
    assert side(service(UDP_SERVICE, "UDP", "192.168.96.70")).services()[0].name == UDP_SERVICE


@pytest.mark.parametrize(
    ("address", "node", "told"), [("192.168.96.70", "worker-2", "worker-2"), ("192.168.96.71", "worker-2", None)]
)
def test_the_announcer_of_the_shared_address_only(
    monkeypatch: pytest.MonkeyPatch, address: str, node: str, told: str | None
) -> None:
    known = ServiceStatus("default", UDP_SERVICE, ("5201/UDP",), address, node, node)
    silent = ServiceStatus("default", TCP_SERVICE, ("5201/TCP",), "192.168.96.70", None, None)
    status = MetallbStatus(installed=True, services=(silent, known))
    monkeypatch.setattr(metallb_status, "status", lambda *_: status)
    assert side().announcer() == told
