"""What a command costs: counted in what it imports, which no busy machine changes; and how ratios are made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from metallab import budgets, paths
from metallab.budgets import BARE

# A room of the lab, or a library only some commands need.
HEAVY = {"matplotlib", "numpy", "kubernetes", "paramiko", "jinja2", "rich", "vagrant", "elftools", "urllib3"}
ROOMS = {
    *("box", "bundle", "cluster", "host", "machines", "providers", "site", "steps", "overview", "snapshots", "bench"),
    *("run", "workflow", "outlook", "plan"),
}
# Measured: 30 modules of ours for the list, 31 for config.validate. A task file more is no reason to fail.
MOST_OF_OURS = 50


def imported(*words: str) -> set[str]:
    """Return the modules a command imports, in a process of its own."""
    invoke = Path(sys.executable).parent / "invoke"
    argv = [sys.executable, "-X", "importtime", str(invoke), "--search-root", str(paths.repo_root()), *words]
    environment = {name: value for name, value in os.environ.items() if name != "LAB_FILE"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))


@pytest.mark.parametrize(
    ("words", "banned"),
    [
        (("--list",), HEAVY | {"pydantic"}),
        (("--complete", "--", "inv", "lab."), HEAVY | {"pydantic"}),
        (("--help", "lab.up"), HEAVY | {"pydantic"}),
        (("config.validate",), HEAVY),
        (("explain", "LAB-HOST-001"), HEAVY | {"pydantic"}),
    ],
    ids=str,
)
def test_a_quick_command_imports_no_more_than_it_needs(words: tuple[str, ...], banned: set[str]) -> None:
    modules = imported(*words)
    assert banned & {module.partition(".")[0] for module in modules} == set()
    ours = [module.split(".") for module in modules if module.partition(".")[0] == "metallab"]
    assert ROOMS & {name for _, name, *_ in (parts for parts in ours if len(parts) > 1)} == set()
    assert 0 < len(ours) <= MOST_OF_OURS


def test_a_ratio_is_a_round_s_own_and_the_middle_one_is_shown() -> None:
    found = budgets.costs({BARE: [0.01, 0.02, 0.04], "inv --list": [0.1, 0.3, 0.2]})
    assert found[1].ratios == pytest.approx((10.0, 15.0, 5.0))
    assert budgets.rows(found) == [(BARE, "1.0", "1.0", "1.0", "20"), ("inv --list", "10.0", "5.0", "15.0", "200")]
    assert budgets.to_dict(found)["inv --list"]["ratio"] == pytest.approx(10.0)
