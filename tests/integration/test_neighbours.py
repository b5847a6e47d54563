"""Two labs on one Docker daemon: the second one must not join the first one's network."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from metallab import errors
from metallab.config import Lab
from metallab.errors import LabError
from metallab.host import netns, provider
from metallab.host.sandbox import Sandbox
from metallab.run.local import run
from tests.integration.daemon import started

NETWORK = "vagrant_network_192.168.98.0/24"
LAB = Lab.model_validate({"name": "two", "network": "192.168.98.0/24"})


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A daemon that plays the host's, with the network of a lab called one and its one machine, which is off."""
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    with started(Sandbox("it-neighbours"), tmp_path, monkeypatch) as host:
        for name, value in host.environment.items():
            monkeypatch.setenv(name, value)
        run(["docker", "import", "-", "empty"], timeout=30, input=empty.getvalue())
        run(
            [*netns.inside(host.namespace), "docker", "network", "create", "--subnet=192.168.98.0/24", NETWORK],
            timeout=30,
        )
        argv = ["docker", "create", f"--network={NETWORK}", "--name=metallab-one_cp", "empty", "none"]
        run(argv, timeout=30)
        yield


def test_a_network_that_others_are_in_is_refused_and_ones_own_is_not(daemon: None) -> None:
    with pytest.raises(LabError) as caught:
        provider.check_docker_network(LAB)
    assert caught.value.entry is errors.PROVIDER_ADDRESS_TAKEN
    assert caught.value.what == "192.168.98.0/24 is the Docker network of metallab-one_cp"
    provider.check_docker_network(LAB.model_copy(update={"name": "one"}))
    provider.check_docker_network(Lab.model_validate({"name": "two", "network": "192.168.99.0/24"}))
