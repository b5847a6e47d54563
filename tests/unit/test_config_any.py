"""Ten thousand lab files nobody wrote: each gives a sound lab or an error with places, and never a traceback.

Most are made of a good one by a seed: hypothesis draws whole trees well, and far too slowly for thousands.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metallab import config, errors
from metallab.config import Lab, parse
from metallab.errors import LabError

DATA = Path(__file__).parents[1] / "data" / "config"
WRITTEN: list[str] = [case["text"] for case in yaml.safe_load((DATA / "good.yaml").read_text(encoding="utf-8"))]
WORDS = (DATA / "words.txt").read_text(encoding="utf-8").split()
SLIPS = [*WORDS, "\n", "\t", "  ", ": ", "\x00", "é", "\u2028", "\ufeff", "'", '"']
KEYS = [
    *(info.alias or name for name, info in Lab.model_fields.items()),
    *("host", "role", "cpus", "memory", "first", "last", "suite", "version", "kubernetes", "metallb"),
]
CONFIG_IDS = {entry.id for entry in errors.catalogue() if entry.exit_code == errors.ExitCode.CONFIG}
LINE = re.compile(r"(?:lab\.yaml(?::([1-9][0-9]*):([1-9][0-9]*))?|LAB_[A-Z_]+): [^\x00-\x1f]+ \[(LAB-CONF-0[0-9]{2})\]")
TREES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=4),
    max_leaves=8,
)
pytestmark = pytest.mark.timeout(300)  # about 20 seconds of an idle processor in all
SEEDS = st.integers(0, 2**64 - 1)

a_busy_host_may_be_slow = [HealthCheck.too_slow, HealthCheck.data_too_large]


def many(examples: int) -> settings:
    """Return the house's settings with a number of examples of this test's own."""
    return settings(max_examples=examples, suppress_health_check=a_busy_host_may_be_slow)


def check(text: str, variables: dict[str, str] | None = None) -> None:
    """Read a lab file and look at the outcome, whichever it is."""
    outcome = read(text, variables or {})
    if isinstance(outcome, Lab):
        assert_sound(outcome)
    else:
        assert_clear(outcome, text)


def read(text: str, variables: dict[str, str]) -> Lab | LabError:
    try:
        return parse(text, environ=variables)
    except LabError as error:
        return error


def assert_clear(error: LabError, text: str) -> None:
    assert error.entry.id in CONFIG_IDS
    assert error.fix
    lines = error.detail.split("\n")
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), error.detail
    assert error.what in ("not YAML", "1 problem", f"{len(lines)} problems")
    # YAML breaks lines at a few more characters than Python's "\n".
    last = len(re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text))
    assert all(int(match[1]) <= last for match in matches if match and match[1]), error.detail


def assert_sound(lab: Lab) -> None:
    hosts = [1, *(machine.host for machine in lab.machines)]
    assert len(set(hosts)) == len(hosts)
    assert max(*hosts, lab.pool.last) < lab.network.num_addresses - 1
    assert not any(lab.pool.first <= host <= lab.pool.last for host in hosts)
    assert lab.pool.first <= lab.shared_address <= lab.pool.last
    assert lab.control_plane.name != lab.client.name
    assert len({machine.name for machine in lab.machines}) == len(lab.machines)
    assert not lab.network.overlaps(lab.pods)
    assert not lab.network.overlaps(lab.services)
    assert not lab.pods.overlaps(lab.services)
    assert all(lab.pod_network(node).subnet_of(lab.pods) for node in lab.nodes)


@many(1000)
@given(st.text() | st.lists(st.sampled_from([*SLIPS, " ", "\n  - "]), max_size=20).map("".join))
def test_any_text(text: str) -> None:
    check(text)


@many(300)
@given(st.dictionaries(st.sampled_from(KEYS), TREES, max_size=4))
def test_any_tree(tree: dict[str, Any]) -> None:
    check(yaml.safe_dump(tree, allow_unicode=True))


@many(300)
@given(st.dictionaries(st.sampled_from(list(config.VARIABLES)), st.text(max_size=30) | st.sampled_from(WORDS)))
def test_any_variables(variables: dict[str, str]) -> None:
    check("pool: 64-95", variables)


@many(2400)
@given(SEEDS)
def test_a_good_file_with_slips_of_the_pen(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - examples are no secrets
    text = chance.choice(WRITTEN)
    for _ in range(chance.randint(1, 4)):
        place = chance.randint(0, len(text))
        text = text[:place] + chance.choice(["", *SLIPS]) + text[place + chance.choice([0, 1, 2, 9]) :]
    check(text)


@pytest.mark.parametrize("part", range(3))
@many(2000)
@given(seed=SEEDS)
def test_a_good_lab_with_other_values(part: int, seed: int) -> None:
    # Where seeds are not drawn anew they are the same for each part.
    check(another_lab(random.Random(f"{part} {seed}")))  # noqa: S311


def another_lab(chance: random.Random) -> str:
    """Return a lab file with some values or keys exchanged, as text: so also what no program would write."""
    machines = [
        {"name": "cp", "role": "control-plane", "host": "10"},
        {"name": "w", "role": "worker", "host": "11", "cpus": "2", "memory": "2048"},
        {"name": "me", "role": "client", "host": "200"},
    ]
    lab = {
        "network": "10.1.0.0/24",
        "pool": "64-95",
        "sharedAddress": "70",
        "versions": "{metallb: '1'}",
        "machines": "",
    }
    for _ in range(chance.randint(1, 4)):
        place: dict[str, str] = chance.choice([lab, lab, *machines])
        key = chance.choice([*place, *place, chance.choice(KEYS), chance.choice(WORDS)])
        if chance.random() < REMOVED:
            place.pop(key, None)
        else:
            place[key] = anything(chance, 0)
    lines = [f"  - {{{', '.join(f'{key}: {value}' for key, value in machine.items())}}}" for machine in machines]
    if lab.get("machines") == "":
        lab["machines"] = "\n" + "\n".join(lines)
    return "\n".join(f"{key}: {value}" for key, value in lab.items()) + "\n"


REMOVED, NESTED = 0.1, 0.15
"""How often a key is removed instead of changed, and a value is a list or a mapping."""


def anything(chance: random.Random, depth: int) -> str:
    """Return a value as it could stand in a file: a word, a number, a range, a network, or some of these."""
    if chance.random() < NESTED * (3 - depth):
        inner = [anything(chance, depth + 1) for _ in range(chance.randint(0, 3))]
        if chance.random() < 1 / 2:
            return f"[{', '.join(inner)}]"
        return f"{{{', '.join(f'{chance.choice(KEYS)}: {value}' for value in inner)}}}"
    number = chance.choice([chance.randint(-2, 300), chance.randint(0, 70_000), 10 ** chance.randint(0, 60)])
    address = ".".join(str(chance.choice([0, 1, 10, 172, 192, 168, 96, 244, 255, 256])) for _ in range(4))
    kinds = [
        chance.choice(WORDS),
        str(number),
        f"'{number}'",
        f"{chance.randint(0, 260)}-{chance.randint(0, 260)}",
        f"{address}/{chance.randint(0, 33)}",
        f"10.{chance.randint(0, 255)}.0.0/{chance.randint(8, 24)}",
        "".join(chance.choice("abAB01-_. é") for _ in range(chance.randint(0, 30))),
    ]
    return chance.choice(kinds)
