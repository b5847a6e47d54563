"""From the text of a lab file, and variables, to a lab: or to every problem at once, each with its place."""

from __future__ import annotations

import copy
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as File
from types import MappingProxyType
from typing import Any

from metallab import errors
from metallab.config import checks
from metallab.config.checks import Draft
from metallab.config.document import BYTES, Misread, decode, read
from metallab.config.explain import UNKNOWN, explain
from metallab.config.problems import Finding, Path, error_of, key_of, shown
from metallab.config.records import API_VERSION, Lab, Machine, check
from metallab.config.source import Source
from metallab.errors import LabError

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Origin:
    """One value of a lab and where it comes from: a line of the file, a variable, or the default."""

    key: str
    value: object
    origin: str


def load(path: File, environ: Mapping[str, str] = NO_VARIABLES) -> Lab:
    """Read and check a lab file; a missing or empty file is the default lab. ``LAB_*`` of ``environ`` go before it.

    Raises LAB-CONF-001 when it is no YAML; otherwise every problem with its place, as the one kind they are of or as
    LAB-CONF-002 when they are of several.
    """
    return _lab(_source(path, environ))


def parse(text: str, *, where: str = "lab.yaml", environ: Mapping[str, str] = NO_VARIABLES) -> Lab:
    """Check the text of a lab file; see :func:`load`."""
    return _lab(Source.of(where, read(text, where), environ))


def origins(path: File, environ: Mapping[str, str] = NO_VARIABLES) -> list[Origin]:
    """Return every value of the lab with where it comes from, in the order of the lab file. Raises as :func:`load`."""
    source = _source(path, environ)
    written = _lab(source).model_dump(mode="json", by_alias=True)
    return [Origin(key_of(path), value, _origin(source, path)) for path, value in _leaves(written, ())]


def _leaves(value: object, path: Path) -> list[tuple[Path, object]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for number, inner in enumerate(value) for leaf in _leaves(inner, (*path, number))]
    return [(path, value)]


def _origin(source: Source, path: Path) -> str:
    place = source.place(path)
    # What a machine that is in the file leaves out is a default; a pool's parts are written as one.
    known = path[0] in source.variables or path in source.document.values
    return place[1] if place is not None and known else "default"


def _source(path: File, environ: Mapping[str, str]) -> Source:
    where = str(path)
    return Source.of(where, read(decode(_bytes(path), where), where), environ)


def _bytes(path: File) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise LabError(errors.CONFIG_UNREADABLE, "it is no file", where=str(path))
        with path.open("rb") as file:
            return file.read(BYTES + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise LabError(errors.CONFIG_UNREADABLE, f"cannot read it: {error}", where=str(path)) from error


def _lab(source: Source) -> Lab:
    data = source.document.data
    if data is not None and not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "one word or number"
        words = f"the file is {kind}; it should hold keys and values, like network: 192.168.96.0/24"
        raise _error([Finding(errors.CONFIG_INVALID, (), words)], source)
    written = source.data()
    _check_version(written, source)
    checked = check(written)
    if isinstance(checked, Lab):
        draft = Draft(checked, tuple(enumerate(checked.machines)), frozenset(), source)
        found = [*source.document.findings, *checks.findings(draft)]
        if not found:
            return checked
    else:
        sound = checks.findings(_draft(written, source))
        found = [*source.document.findings, *explain(checked, source), *sound]
    raise _error(found, source)


def _check_version(written: Mapping[str, Any], source: Source) -> None:
    """Refuse a file of another form before its keys are judged: all of them may mean something else there."""
    version = written.get("apiVersion", API_VERSION)
    if version is not None and version != API_VERSION:
        said = version.text if isinstance(version, Misread) else shown(version)
        words = f"the file says {said}; write {API_VERSION}, the form this metallab reads, or use the one it is for"
        raise _error([Finding(errors.CONFIG_API_VERSION, ("apiVersion",), words)], source)


def _error(findings: list[Finding], source: Source) -> LabError:
    return error_of(source.problems(findings), source.where)


def _draft(written: Mapping[str, Any], source: Source) -> Draft:
    """Return what is sound of a lab that is not: unknown keys, wrong values and whole wrong machines are left out."""
    data = copy.deepcopy(dict(written))
    numbers = list(range(len(data["machines"]))) if isinstance(data.get("machines"), list) else []
    unsound: set[str] = set()
    while not isinstance(checked := check(data), Lab):
        wrong: set[int] = set()
        # Unknown keys first: what they are in may go as a whole.
        for problem in sorted(checked, key=lambda problem: problem["type"] != UNKNOWN):
            path, top = problem["loc"], str(problem["loc"][0])
            if problem["type"] == UNKNOWN:
                _remove(data, path)
            elif top == "machines" and len(path) > 1:
                wrong.add(int(path[1]))
                unsound.add(top)
            else:
                data.pop(top, None)
                unsound.add(top)
        for number in sorted(wrong, reverse=True) if "machines" in data else ():
            del data["machines"][number], numbers[number]
    machines: tuple[tuple[int, Machine], ...] = tuple(enumerate(checked.machines))
    if "machines" in data:
        machines = tuple(zip(numbers, checked.machines, strict=True))
    elif "machines" in unsound:
        machines = ()
    return Draft(checked, machines, frozenset(unsound), source)


def _remove(data: Any, path: Path) -> None:  # noqa: ANN401 - a file can hold anything
    for part in path[:-1]:
        data = data[part]
    data.pop(path[-1], None)
