"""What a user does with a snapshot, the same on every provider."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from tests.e2e.conftest import User

NAME = "kept"


@dataclass(frozen=True)
class Took:
    """Seconds of both commands."""

    save: float
    restore: float


def keep_and_put_back(user: User, machine: str, *, seconds: float = 600) -> Took:
    """Keep a lab on which the example is deployed, spoil it, put it back, and find all as it was; return the seconds.

    ``machine`` is a node that gets a file; ``seconds`` is how long one command may take. The snapshot is left there.
    """
    uid = example_of(user)
    began = time.monotonic()
    user.inv("lab.snapshot.save", NAME, timeout=seconds)
    saved = time.monotonic()
    # Keeping has changed nothing, and no node is lost to the pause.
    assert example_of(user) == uid
    assert ready_nodes(user)

    user.kubectl("delete", "deployment/iperf3-server", "--wait=true")
    user.inv("lab.ssh", machine, "--", "sudo", "touch", "/etc/since-then")

    spoilt = time.monotonic()
    user.inv("lab.snapshot.restore", NAME, timeout=seconds)
    restored = time.monotonic()
    assert example_of(user) == uid, "the very same object is back, not one like it"
    assert ready_nodes(user)
    user.inv("lab.ssh", machine, "--", "test", "!", "-e", "/etc/since-then")
    late = clock_of(user, machine) - time.time()
    assert abs(late) < max(10.0, seconds / 60), f"the clock of {machine} is off by {late:.0f} s"
    user.proof(seconds, only="again-tcp")
    return Took(saved - began, restored - spoilt)


def example_of(user: User) -> str:
    """Return the identity of the example's deployment."""
    return user.kubectl("get", "deployment/iperf3-server", "--output=jsonpath={.metadata.uid}")


def ready_nodes(user: User) -> bool:
    """Tell whether all nodes are Ready."""
    nodes = json.loads(user.kubectl("get", "nodes", "--output=json"))["items"]
    conditions = [one for node in nodes for one in node["status"]["conditions"] if one["type"] == "Ready"]
    return bool(conditions) and all(one["status"] == "True" for one in conditions)


def clock_of(user: User, machine: str) -> float:
    """Return a machine's time in seconds since 1970."""
    return float(user.inv("lab.ssh", machine, "--", "date", "+%s").stdout)
