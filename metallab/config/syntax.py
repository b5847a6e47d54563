"""What PyYAML says of a text that is no YAML, in plain words and with what to do about it."""

from __future__ import annotations

import re

import yaml

from metallab.config.problems import Place, shorten

Mark = yaml.error.Mark

AT_OPENING = "@"
"""Begins words about the place where something began, which the parser notices only later."""
# The parser's words (context and problem, with "|" between) and ours. {open} is where that what is not closed began.
WORDS = (
    (r".*\|mapping values are not allowed here", "a colon too much, or none one line above; quote text with ': '"),
    (r".*\|sequence entries are not allowed here", "a list begins on a line of its own, below its key"),
    (r"while scanning a quoted scalar\|.*", AT_OPENING + "the quote that begins here is not closed"),
    (r"while parsing a flow (sequence|mapping)\|.*<stream end>.*", AT_OPENING + "this bracket is not closed"),
    (r"while parsing a flow (sequence|mapping)\|.*", "a comma is missing, or the bracket of {open} is not closed"),
    (r"while parsing a flow node\|.*<stream end>.*", "a bracket is opened and not closed"),
    (r"while parsing a (block|flow) node\|.*but found '(.)'", "there is no value before this {symbol}"),
    (r"while parsing a block mapping\|.*<scalar>'", "this does not belong to the value before it: quote all of it"),
    (r"while parsing a block (mapping|collection)\|.*", "this does not fit to the lines from {open} on: indent alike"),
    (r"while scanning a simple key\|.*", AT_OPENING + "this is no key with a colon; write key: value"),
    (r".*\|found undefined alias.*", "the alias {found} names an anchor that is not there; write the value itself"),
    (r"found duplicate anchor.*", "an anchor of that name is already there; give it another name"),
    (r"expected a single document.*", "a second document begins here (---); a lab file is one document"),
    (r".*\|expected '<document start>'.*", "this does not belong to what is above; write key: value, a line each"),
    (r".*\|found unknown escape character.*", "a backslash in double quotes begins an escape; take single quotes"),
    (r".*block scalar\|.*", "> and | begin a text of several lines; write the value itself"),
    (r".*\|found undefined tag handle.*", "a tag (!…) has no meaning in a lab file; leave it out"),
    (r"while (scanning|parsing) a (tag|directive).*", "! and % have no meaning in a lab file; leave them out"),
    (r".*\|found incompatible YAML document.*", "leave the %YAML line out"),
    (r"while scanning an (anchor|alias)\|.*", "& and * begin the name of an anchor; text that begins so needs quotes"),
)  # fmt: skip


def explain(error: yaml.YAMLError, text: str) -> tuple[Place, str]:
    """Return where the text stops being YAML, and why, in words for somebody who does not know the parser."""
    if isinstance(error, yaml.reader.ReaderError):
        return place_at(text, error.position), _character(text, error.position)
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Place(1, 1), str(error)
    here, said = place_of(error.problem_mark), f"{error.context or ''}|{error.problem or ''}"
    token = re.search(r"found character (.+) that cannot start any token", said)
    if token is not None:
        return here, _token(token[1])
    opened = place_of(error.context_mark) if error.context_mark is not None else here
    for pattern, words in WORDS:
        if re.fullmatch(pattern, said, re.DOTALL):
            where = f"line {opened.line}, column {opened.column}"
            found = re.search(r"'(.*)'", said)
            told = words.removeprefix(AT_OPENING).format(
                open=where, symbol=said[-2:-1], found=shorten(found[1]) if found else ""
            )
            return (opened if words.startswith(AT_OPENING) else here), told
    return here, (error.problem or str(error))


def place_of(mark: Mark) -> Place:
    """Return a mark of the parser's, which counts from 0, as an editor counts."""
    return Place(mark.line + 1, mark.column + 1)


def place_at(text: str, position: int) -> Place:
    """Return the place of a character of a text."""
    before = text[:position]
    return Place(before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)


def _character(text: str, position: int) -> str:
    code = ord(text[position])
    if code == 0:
        return "there is a NUL byte here: this is no text file, or it was damaged; write it anew"
    return f"the invisible character U+{code:04X} is not allowed; delete it"


def _token(quoted: str) -> str:
    if quoted == r"'\t'":
        return "there is a tab here; YAML is indented with spaces"
    return f"a value cannot begin with {quoted}; put it in quotes"
