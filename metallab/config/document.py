"""The YAML of a lab file as plain values, with the place of each and what YAML made of it. The parser is PyYAML's.

PyYAML reads YAML 1.1, in which ``no`` is false, ``1:30`` is 90 and ``010`` is 8. Whatever does not mean what it looks
like is kept as a :class:`Misread` that no field takes, so that its field's message can say what happened.
"""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from metallab import errors
from metallab.config.problems import Finding, Path, Place, Problem, shorten
from metallab.config.syntax import explain, place_of
from metallab.errors import LabError

BYTES = 256 * 1024
"""The longest file that is read; a lab of a thousand machines has 80 KiB."""
DEPTH = 16
"""How deep values may lie in each other; the lab's own lie three deep."""
VALUES = 10_000
"""How many values a file may hold with its anchors unfolded."""
DIGITS = 40
"""The longest number that is still computed."""
TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Misread:
    """A value that YAML takes for something else than a reader does.

    ``reading`` says for what; ``plain`` is how the number meant is written, where that is known.
    """

    text: str
    reading: str
    plain: str = ""


@dataclass(frozen=True)
class Scalar:
    """A single value as it is written, and whether in quotes."""

    text: str
    quoted: bool


@dataclass
class Document:
    """What a file holds. ``keys`` and ``values`` are the places of both, ``scalars`` the single values as written."""

    data: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    scalars: dict[Path, Scalar] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def place(self, path: Path) -> Place | None:
        """Return where the value is written, or what it would be written in; None for what is not in the file."""
        if not path:
            return self.values.get(path)
        for length in range(len(path), 0, -1):
            if path[:length] in self.values:
                return self.values[path[:length]]
        return None


def read(text: str, where: str) -> Document:
    """Return what a text holds. Raises LAB-CONF-001 with line and column when it is no YAML, or no sane one."""
    text = text.removeprefix("\ufeff")
    if len(text) > BYTES:
        raise unreadable(Place(1, 1), f"the file is longer than {BYTES // 1024} KiB; no lab needs that", where)
    try:
        composer = _Composer(text)
        try:
            root = composer.get_single_node()
        finally:
            composer.dispose()
        return _Builder().document(root)
    except _Refused as error:
        raise unreadable(error.place, error.words, where) from error
    except yaml.YAMLError as error:
        raise unreadable(*explain(error, text), where) from error


def unreadable(place: Place, words: str, where: str) -> LabError:
    """Return the error of a file that is no YAML: such a file has one problem, since nothing behind it can be read."""
    entry = errors.CONFIG_UNREADABLE
    problem = Problem(entry, f"{where}:{place.line}:{place.column}", "", words)
    return LabError(entry, "not YAML", where=where, detail=str(problem))


class _Refused(Exception):
    """YAML, but none that a lab file needs."""

    def __init__(self, words: str, mark: yaml.error.Mark) -> None:
        super().__init__(words)
        self.words, self.place = words, place_of(mark)


class _Composer(yaml.SafeLoader):
    """PyYAML's composer, with bounds to depth and number, and without tags, which can make objects."""

    _depth = _count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            raise _Refused(
                f"the tag {shorten(event.tag.replace(TAG, '!!'))} has no meaning in a lab file; leave it out",
                event.start_mark,
            )
        if self._depth >= DEPTH:
            raise _Refused(f"values lie deeper in each other than {DEPTH} levels; no lab needs that", event.start_mark)
        self._count += 1
        if self._count > VALUES:
            raise _Refused(f"the file holds more than {VALUES} keys and values; no lab needs that", event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Builder:
    """Makes plain values of PyYAML's nodes, in which an anchor's node is there once for all its aliases."""

    def __init__(self) -> None:
        self._made = Document()
        self._count = 0
        self._depth = 0

    def document(self, root: yaml.Node | None) -> Document:
        if root is not None:
            self._made.data = self._value(root, ())
            self._made.values[()] = place_of(root.start_mark)
        return self._made

    @contextlib.contextmanager
    def _inside(self, node: yaml.Node) -> Iterator[None]:
        """Bound what anchors can do: values that hold themselves, and few lines that unfold to millions."""
        self._count += 1
        self._depth += 1
        if self._count > VALUES or self._depth > 2 * DEPTH:
            words = f"with its anchors unfolded the file holds more than {VALUES} values, or values without end"
            raise _Refused(words, node.start_mark)
        yield
        self._depth -= 1

    def _value(self, node: yaml.Node, path: Path) -> Any:  # noqa: ANN401 - a file can hold anything
        here, key = place_of(node.start_mark), self._made.keys.get(path)
        # An empty value stands where its line ends, and what begins on another line is looked for at its key.
        is_empty = isinstance(node, yaml.ScalarNode) and not node.value and node.style is None
        self._made.values[path] = key if key is not None and (is_empty or here.line != key.line) else here
        with self._inside(node):
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self._value(item, (*path, number)) for number, item in enumerate(node.value)]
        scalar = cast("yaml.ScalarNode", node)
        self._made.scalars[path] = Scalar(scalar.value, quoted=scalar.style is not None)
        return value_of(scalar)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == f"{TAG}merge":
                # The first of several goes before the others, and the mapping's own keys before all.
                for merged in reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]:
                    values.update(self._merged(merged, path))
        own: dict[str, Place] = {}
        for key, value in node.value:
            if key.tag == f"{TAG}merge":
                continue
            here = place_of(key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                words = "a list or a mapping cannot be a key; write key: value"
                self._made.findings.append(Finding(errors.CONFIG_INVALID, path, words, here))
                continue
            name: str = key.value
            if name in own:
                words = f"is already in line {own[name].line}; remove one of the two lines"
                self._made.findings.append(Finding(errors.CONFIG_KEY_TWICE, (*path, name), words, here))
            own[name] = here
            inner: Path = (*path, name)
            self._made.keys[inner] = here
            values[name] = self._value(value, inner)
        return values

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        if isinstance(node, yaml.MappingNode):
            with self._inside(node):
                return self._mapping(node, path)
        words = "<< takes the keys of another mapping, by its anchor: write <<: *name"
        self._made.findings.append(Finding(errors.CONFIG_INVALID, path, words, place_of(node.start_mark)))
        return {}


def value_of(node: yaml.ScalarNode) -> object:
    """Return a single value as YAML 1.1 has it, or a :class:`Misread` where that is not what it looks like."""
    kind, text = node.tag.removeprefix(TAG), str(node.value)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("yes", "true", "on")
    if kind == "timestamp":
        return Misread(text, "a date")
    if kind in ("int", "float"):
        return _number(node, kind, text)
    return text


def _number(node: yaml.ScalarNode, kind: str, text: str) -> object:
    if len(text) > DIGITS:
        return Misread(shorten(text), f"a number of {len(text)} digits")
    # The parser takes some texts for numbers that are none: 0b_, or 0_.
    value: float | None = None
    with contextlib.suppress(ValueError):
        value = _MAKER.construct_yaml_int(node) if kind == "int" else _MAKER.construct_yaml_float(node)
    if value is None:
        return Misread(text, "a number, but it is none")
    if kind == "float":
        return Misread(text, f"{value:g}, in base 60") if ":" in text else value
    if str(value) == text:
        return value
    return Misread(text, f"{value}{_why(text)}", str(value))


def _why(text: str) -> str:
    if ":" in text:
        return ", in base 60"
    digits = text.lstrip("+-")
    bases = (
        ("0x", ", a hexadecimal number"),
        ("0b", ", a binary number"),
        ("0", ", since a leading zero makes it octal"),
    )
    return next((words for start, words in bases if digits.startswith(start) and len(digits) > 1), "")


_MAKER = yaml.constructor.SafeConstructor()


def decode(raw: bytes, where: str) -> str:
    """Return the text of a file's bytes. Raises LAB-CONF-001, with line and column, when it is not UTF-8."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise unreadable(Place(1, 1), "the file is UTF-16; save it as UTF-8", where)
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        words = f"the byte {raw[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise unreadable(place, words, where) from error
