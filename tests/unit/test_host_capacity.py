"""Sizes of virtual machines on hosts of every size."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallab.config import LEAST_MIB, Lab, parse
from metallab.errors import LabError
from metallab.host import capacity
from metallab.host.capacity import LEFT_MIB, OVERHEAD_MIB, Size, check_memory, fit

LEAST = 1536 + 2 * 768 + 256
"""What the machines of the default lab cannot do without."""
SMALLEST = LEFT_MIB + 4 * OVERHEAD_MIB + LEAST


def test_on_a_big_host_machines_are_as_lab_yaml_says() -> None:
    assert fit(Lab(), total=64 * 1024, processors=16) == {
        "control-plane": Size(2, 2048),
        "worker-1": Size(2, 2048),
        "worker-2": Size(2, 2048),
        "client": Size(1, 512),
    }


def test_on_a_smaller_host_each_gives_the_same_share_of_what_it_can_spare() -> None:
    sizes = fit(Lab(), total=SMALLEST + (6656 - LEAST) // 2, processors=16)
    assert {name: size.memory for name, size in sizes.items()} == {
        "control-plane": (2048 + 1536) // 2,
        "worker-1": (2048 + 768) // 2,
        "worker-2": (2048 + 768) // 2,
        "client": (512 + 256) // 2,
    }


def test_the_smallest_host_gives_the_least() -> None:
    sizes = fit(Lab(), total=SMALLEST, processors=1)
    assert {name: size.memory for name, size in sizes.items()} == {
        "control-plane": 1536,
        "worker-1": 768,
        "worker-2": 768,
        "client": 256,
    }
    assert {size.cpus for size in sizes.values()} == {1}, "no more processors than there are"


def test_who_asks_for_less_than_the_least_gets_that() -> None:
    lab = parse("machines: [{name: cp, role: control-plane, host: 10, memory: 1024}, {name: c, role: client, host: 9}]")
    assert fit(lab, total=64 * 1024)["cp"].memory == 1024


@pytest.mark.parametrize(
    ("processors", "cpus"),
    [(1, [1, 1, 1, 1]), (2, [2, 1, 1, 1]), (5, [2, 1, 1, 1]), (6, [2, 2, 1, 1]), (16, [2, 2, 2, 1])],
)
def test_of_emulated_machines_the_control_plane_comes_first(processors: int, cpus: list[int]) -> None:
    sizes = fit(Lab(), total=64 * 1024, processors=processors, emulated=True)
    assert [size.cpus for size in sizes.values()] == cpus


@pytest.mark.parametrize(
    ("processors", "words"),
    [
        ({0}, None),
        ({0, 1}, "worker-1 1 of 2, worker-2 1 of 2"),
        ({*range(6)}, "worker-2 1 of 2"),
        ({*range(16)}, None),
    ],
)
def test_who_gets_fewer_because_it_is_emulated_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: set[int], words: str | None
) -> None:
    meminfo(tmp_path, monkeypatch, f"MemTotal: {64 * 1024 * 1024} kB\n")
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: processors)
    said = capacity.fewer_processors(Lab())
    assert said == words if words is None else said is not None and said.endswith(f": {words}")


@pytest.mark.parametrize(
    ("mib", "processors", "said"),
    [
        (64 * 1024, 2, []),
        (64 * 1024, 1, ["control-plane gets 1 of 2 processors", "worker-1 gets 1 of 2", "worker-2 gets 1 of 2"]),
        (
            SMALLEST,
            1,
            [
                "control-plane gets 1 of 2 processors and 1536 of 2048 MiB",
                "worker-1 gets 1 of 2 processors and 768 of 2048 MiB",
                "worker-2 gets 1 of 2 processors and 768 of 2048 MiB",
                "client gets 256 of 512 MiB",
            ],
        ),
    ],
)
def test_who_gets_less_because_the_host_has_no_more_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mib: int, processors: int, said: list[str]
) -> None:
    meminfo(tmp_path, monkeypatch, f"MemTotal: {mib * 1024} kB\n")
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {*range(processors)})
    smaller = capacity.made_smaller(Lab())
    assert len(smaller) == len(said)
    assert all(sentence.startswith(words) for sentence, words in zip(smaller, said, strict=True)), smaller


def numbers(what: str) -> tuple[int, int]:
    match = re.fullmatch(r"(-?\d+) MiB of memory can be had, the machines of metallab need (\d+) MiB", what)
    assert match is not None
    return int(match[1]), int(match[2])


@given(st.integers(0, SMALLEST - 1))
def test_a_host_that_is_too_small_is_told_what_is_there_and_what_is_needed(total: int) -> None:
    with pytest.raises(LabError) as caught:
        fit(Lab(), total=total)
    assert caught.value.entry.id == "LAB-HOST-012"
    there, needed = numbers(caught.value.what)
    assert there == total - LEFT_MIB
    assert there < needed


MACHINES = st.lists(st.tuples(st.integers(256, 65536), st.integers(1, 64)), min_size=1, max_size=8)


@given(MACHINES, st.integers(0, 131072), st.integers(1, 64))
def test_whatever_is_asked_for_fits_and_leaves_each_its_least(
    asked: list[tuple[int, int]], total: int, processors: int
) -> None:
    (memory, cpus), *workers = asked
    machines = [
        f"{{name: cp, role: control-plane, host: 10, memory: {memory}, cpus: {cpus}}}",
        "{name: c, role: client, host: 200}",
        *(
            f"{{name: w{index}, role: worker, host: {index + 20}, memory: {memory}, cpus: {cpus}}}"
            for index, (memory, cpus) in enumerate(workers)
        ),
    ]
    lab = parse(f"machines: [{', '.join(machines)}]")
    least = sum(min(machine.memory, LEAST_MIB[machine.role]) for machine in lab.machines)
    if total < LEFT_MIB + OVERHEAD_MIB * len(lab.machines) + least:
        with pytest.raises(LabError):
            fit(lab, total=total, processors=processors)
        return
    sizes = fit(lab, total=total, processors=processors)
    assert sum(size.memory + OVERHEAD_MIB for size in sizes.values()) + LEFT_MIB <= total
    for machine in lab.machines:
        size = sizes[machine.name]
        assert min(machine.memory, LEAST_MIB[machine.role]) <= size.memory <= machine.memory
        assert 1 <= size.cpus <= min(machine.cpus, processors)


def meminfo(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "meminfo").write_text(text)
    monkeypatch.setattr(capacity, "MEMINFO", folder / "meminfo")


def test_the_host_s_memory_is_the_kernel_s_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo(tmp_path, monkeypatch, f"MemTotal:       {SMALLEST * 1024} kB\nMemAvailable:          0 kB\n")
    assert fit(Lab())["control-plane"].memory == 1536, "what is free at the moment does not count"


@pytest.mark.parametrize("missing", [0, 1])
def test_a_lab_is_not_begun_on_a_host_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    needed = LEAST + 4 * OVERHEAD_MIB
    meminfo(tmp_path, monkeypatch, f"MemTotal: 99999999 kB\nMemAvailable: {(needed - missing) * 1024} kB\n")
    if not missing:
        check_memory(Lab())
        return
    with pytest.raises(LabError) as caught:
        check_memory(Lab())
    assert caught.value.entry.id == "LAB-HOST-012"
    assert numbers(caught.value.what) == (needed - 1, needed)


def test_a_kernel_that_does_not_tell_is_not_taken_for_one_without_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meminfo(tmp_path, monkeypatch, "MemTotal: 99999999 kB\n")
    with pytest.raises(LabError, match="does not say MemAvailable"):
        check_memory(Lab())


def test_this_host_s_memory_can_be_read() -> None:
    assert capacity._memory("MemTotal") >= capacity._memory("MemAvailable") > 0
