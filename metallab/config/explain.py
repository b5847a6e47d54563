"""What pydantic found wrong with the form of a value, in words that say what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any, get_args

from pydantic_core import ErrorDetails

from metallab import errors
from metallab.config import names
from metallab.config.document import Misread, Scalar
from metallab.config.problems import Finding, Path, closest, shown
from metallab.config.records import API_VERSION, Lab, Provider, Role, Suite, keys_at
from metallab.config.source import Source
from metallab.errors import Entry

UNKNOWN = "extra_forbidden"
"""What pydantic calls a key there is not."""
SYNONYMS: Mapping[str, str] = {
    "address": "host",
    "cidr": "network",
    "ip": "host",
    "mem": "memory",
    "nodes": "machines",
    "ram": "memory",
    "subnet": "network",
    "version": "apiVersion",
    "vip": "sharedAddress",
    "vms": "machines",
}
"""Keys that other tools have for the same thing."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "provider": get_args(Provider),
    "role": get_args(Role),
    "suite": get_args(Suite),
    "apiVersion": (API_VERSION,),
}
OTHER_WORDS: Mapping[str, str] = {
    "agent": "worker",
    "debian-12": "bookworm",
    "debian-13": "trixie",
    "kvm": "libvirt",
    "master": "control-plane",
    "node": "worker",
    "qemu": "libvirt",
    "server": "control-plane",
    "vbox": "virtualbox",
}
"""Values that other tools have for the same thing."""
LARGE = 1e9
"""From here on a number with a point is no slip of the pen."""
NUMBERS = ("host", "sharedAddress", "cpus", "memory", "first", "last")
EXAMPLES: Mapping[str, str] = {
    "apiVersion": API_VERSION,
    "name": "lab-1",
    "provider": "docker",
    "network": "192.168.96.0/24",
    "pool": "64-95",
    "sharedAddress": "70",
    "pods": "10.244.0.0/16",
    "services": "10.96.0.0/16",
    "role": "worker",
    "host": "13",
    "cpus": "2",
    "memory": "2048",
    "suite": "bookworm",
    "first": "64",
    "last": "95",
}
MACHINE = "{name: worker-1, role: worker, host: 11}"
PARTS: Mapping[str, str] = {
    "machines": f"a list, each machine on a line like - {MACHINE}",
    "versions": "keys and values, like versions: {metallb: v0.15.2}",
    "box": "keys and values, like box: {name: debian/bookworm64, suite: bookworm}",
    "pool": "two host numbers with a dash between, for example 64-95",
}


def explain(details: Sequence[ErrorDetails], source: Source) -> list[Finding]:
    """Return a finding for each value whose form is wrong."""
    return [_finding(problem, source) for problem in details]


def _finding(problem: ErrorDetails, source: Source) -> Finding:
    path: Path = problem["loc"]
    if problem["type"] == UNKNOWN:
        words = f"there is no such key{_meant(path)}"
        return Finding(errors.CONFIG_KEY_UNKNOWN, path, words, source.document.keys.get(path))
    if problem["type"] == "missing":
        return Finding(errors.CONFIG_VALUE_MISSING, path, f"is missing; write {path[-1]}: {_example(path)}")
    if problem["input"] is None:
        return Finding(errors.CONFIG_VALUE_MISSING, path, _no_value(path))
    entry, words = _wrong(problem, source)
    return Finding(entry, path, words)


def _wrong(problem: ErrorDetails, source: Source) -> tuple[Entry, str]:
    """Return what is wrong with a value that is there, by what should be in its place."""
    path: Path = problem["loc"]
    value, last, scalar = problem["input"], path[-1], source.scalar(path)
    reading = _reading(value, scalar)
    if last in CHOICES:
        return errors.CONFIG_INVALID, _choice(str(last), value, reading)
    if last in NUMBERS:
        return _number(problem, scalar, source)
    if last == "name" and path[0] != "box":
        return errors.CONFIG_NAME, _name(path, value, scalar)
    if isinstance(last, int):
        return errors.CONFIG_INVALID, f"should be a machine, like {MACHINE}"
    if problem["type"] == "string_type" and reading and scalar is not None:
        return errors.CONFIG_YAML_READS, f'YAML reads {reading}; write it in quotes: "{scalar.text}"'
    return errors.CONFIG_INVALID, _form(problem, reading, source)


def _form(problem: ErrorDetails, reading: str, source: Source) -> str:
    """Return what is wrong with a value that has a form of its own, or that should have parts."""
    value, last = problem["input"], str(problem["loc"][-1])
    numbers = _pool_numbers(value, source) if last == "pool" and isinstance(value, str) else None
    if numbers is not None:
        return f"is two host numbers, not addresses; write {numbers}"
    if problem["type"] == "value_error":
        words = problem["msg"].removeprefix("Value error, ")
    elif last in PARTS:
        words = f"should be {PARTS[last]}"
    elif last in ("name", "version"):
        words = "should be the name of a box, like debian/bookworm64" if last == "name" else "should be a box's version"
    else:
        words = "should be text"
    if isinstance(value, Misread | bool):
        return f"{words}; YAML reads {reading}"
    return f"{words} (it is {shown(value)})" if isinstance(value, str | int | float) else words


def _meant(path: Path) -> str:
    """Return which key was meant by one that is not there: here, by another word, or at another place."""
    word, here = str(path[-1]), keys_at(path[:-1])
    known = {"_".join(re.findall(r"[a-z]+|[A-Z][a-z]+", key)).lower(): key for key in here} | {key: key for key in here}
    meant = SYNONYMS.get(word.lower().replace("_", "")) or SYNONYMS.get(word.lower())
    if meant in here:
        return f"; did you mean {meant}?"
    for other, place in (
        ((), "at the left margin"),
        (("machines", 0), "inside a machine"),
        (("versions",), "inside versions:"),
        (("box",), "inside box:"),
    ):
        if word in keys_at(other) and other != path[:-1]:
            return f" here; it belongs {place}"
    found = closest(word, known)
    if found is not None:
        return f"; did you mean {known[found]}?"
    return f"; there is: {', '.join(here)}" if here else ""


def _no_value(path: Path) -> str:
    if isinstance(path[-1], int):
        return "there is nothing after the dash; write a machine or remove the line"
    write = f"write one, like {path[-1]}: {_example(path)}" if _example(path) else "write one below it"
    is_needed = path[-1] in ("name", "role", "host") and len(path) > 1
    return f"has no value; {write}" if is_needed else f"has no value; {write}, or remove the line"


def _example(path: Path) -> str:
    if path[0] == "box" and path[-1] == "name":
        return "debian/bookworm64"
    return "worker-1" if path[-1] == "name" and len(path) > 1 else EXAMPLES.get(str(path[-1]), "")


def _choice(key: str, value: object, reading: str) -> str:
    known = CHOICES[key]
    if not isinstance(value, str):
        what = f"YAML reads {reading}; " if reading else ""
        return f"{what}should be one of: {', '.join(known)}"
    meant = OTHER_WORDS.get(value.lower())
    meant = meant if meant in known else closest(value, known)
    return f"{shown(value)} is none of: {', '.join(known)}{f'; did you mean {meant}?' if meant else ''}"


def _number(problem: ErrorDetails, scalar: Scalar | None, source: Source) -> tuple[Entry, str]:
    value: Any = problem["input"]
    key = str(problem["loc"][-1])
    if problem["type"] in ("greater_than_equal", "less_than_equal"):
        context = problem.get("ctx", {})
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return errors.CONFIG_INVALID, f"should be {bound}{' (MiB)' if key == 'memory' else ''}, it is {shown(value)}"
    if isinstance(value, Misread | bool):
        plain = value.plain if isinstance(value, Misread) else ""
        hint = f"write {plain}" if plain else f"write a whole number, like {EXAMPLES[key]}"
        if isinstance(value, Misread) and re.fullmatch(r"0+[1-9][0-9]*", value.text) and plain not in value.text:
            hint = f"write {value.text.lstrip('0')}, or {plain} if that is meant"
        return errors.CONFIG_YAML_READS, f"YAML reads {_reading(value, scalar)}; {hint}"
    if isinstance(value, str):
        return errors.CONFIG_INVALID, _text_for_number(key, value, scalar, source)
    if isinstance(value, float):
        like = int(value) if value.is_integer() and abs(value) < LARGE else EXAMPLES[key]
        return errors.CONFIG_INVALID, f"should be a whole number, like {like} (it is {value})"
    return errors.CONFIG_INVALID, f"should be a whole number, like {EXAMPLES[key]}"


def _text_for_number(key: str, text: str, scalar: Scalar | None, source: Source) -> str:
    if re.fullmatch(r"[1-9][0-9]{0,8}", text) and scalar is not None and scalar.quoted:
        return f"is text because of its quotes; write {text}"
    zeros = re.fullmatch(r"0+([1-9][0-9]{0,8})", text)
    if zeros:
        return f"YAML reads {text} as text; write {zeros[1]}"
    exponent = re.fullmatch(r"([1-9][0-9]{0,5})[eE]\+?([0-6])", text)
    if exponent:
        return f"YAML 1.1 reads {text} as text; write {int(exponent[1]) * 10 ** int(exponent[2])}"
    size = re.fullmatch(r"([1-9][0-9]{0,5})\s*([GMgm])(i?[bB])?", text)
    if size and key == "memory":
        return f"is a number of MiB, without a unit; write {int(size[1]) * (1024 if size[2] in 'Gg' else 1)}"
    number = _host_number(text, source) if key in ("host", "sharedAddress") else None
    if number is not None:
        return f"is a host number, not an address; write {number}"
    what = "a host number" if key in ("host", "sharedAddress", "first", "last") else "a whole number"
    return f"should be {what}, like {EXAMPLES[key]} (it is {shown(text)})"


def _pool_numbers(text: str, source: Source) -> str | None:
    """Return the pool that addresses of the lab network stand for, written with a dash or a prefix."""
    first, _, last = text.partition("-")
    if "/" in text:
        try:
            network = IPv4Network(text.strip())
        except ValueError:
            return None
        first, last = str(network[0]), str(network[-1])
    ends = [_host_number(end.strip(), source) for end in (first, last)]
    return None if None in ends else f"{ends[0]}-{ends[1]}"


def _host_number(text: str, source: Source) -> int | None:
    """Return the host number of an address in the lab network as far as that is known; None for any other text."""
    network = source.data().get("network", str(Lab().network))
    try:
        # Of a number or a truth value ipaddress would make a network, too.
        lab, address = IPv4Network(str(network)), IPv4Address(text.partition("/")[0])
    except ValueError:
        return None
    return int(address) - int(lab.network_address) if address in lab else None


def _name(path: Path, value: object, scalar: Scalar | None) -> str:
    reading = _reading(value, scalar)
    if reading and scalar is not None:
        return f"YAML reads {reading}; write for example {names.proposed(scalar.text, path)}"
    return names.wrong(value, path) if isinstance(value, str) else f"should be a name, like {_example(path)}"


def _reading(value: object, scalar: Scalar | None) -> str:
    """Return what YAML made of something a reader takes for text or another number; empty where it is as it looks."""
    if isinstance(value, Misread):
        return _as(value)
    if scalar is None or scalar.quoted:
        return ""
    if isinstance(value, bool):
        meaning = "true" if value else "false"
        return f"{scalar.text} as {meaning if scalar.text.lower() != meaning else 'a truth value'}"
    if isinstance(value, int | float):
        return f"{scalar.text} as a number"
    return ""


def _as(value: Misread) -> str:
    return f"{value.text} as {value.reading}"
