"""Taking secrets out of text and of Kubernetes objects. Pure: a secret is told by its form, its name, or its value.

Rather too much is taken than too little: who reads a bug report misses a word, who publishes a key loses a lab.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

SHORTEST = 6
"""A known secret that is shorter would be found in ordinary words, too."""

_B64 = "A-Za-z0-9+/"
# What a value is called that nobody else should read. Such a word ends the name: a tokenTTL and a secretName are none.
# How the name begins does not matter; to look at that, too, would take ten times as long.
_WORD = (
    r"(?:passwords?|passwd|passphrase|(?<=[_.-])pwd|secrets?|secret[-_]?keys?|tokens?|credentials?"
    r"|(?:api|access|private|signing|encryption|certificate|host|client|session|auth)[-_]?key(?:[-_]?data)?"
    r"|client-certificate-data|authorization|proxy[-_]?user|dockerconfigjson|auth)"
)
_QUOTED = r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_EMPTY = ("", "null", "true", "false", "none", "<none>", "nil", "~")
# A rate limiter's tokens are counted: burstTokens=10 is none. The word before them says so, and the value is a number.
_COUNTED = re.compile(r"(?:burst|max|min|available|remaining|used)[-_]?tokens\Z", re.IGNORECASE)
_NUMBER = re.compile(r"\\*[\"']?\d+[,;]?\\*[\"']?")


@dataclass(frozen=True)
class Redacted:
    """A text without its secrets, and in how many places there was one."""

    text: str
    count: int


def _named(match: re.Match[str]) -> str:
    """Return a name without its value; quotes stay, so that JSON stays JSON."""
    value = match["value"]
    if value.strip("\"',}").lower() in _EMPTY or value[0] in "{[|>" or value == "-" or "<redacted" in value:
        return match[0]  # nothing, or what begins here has its own rule
    # The rule's match may begin in the middle of the name.
    name = match.string[max(0, match.start() - len("available-")) : match.start()] + match["before"]
    if _NUMBER.fullmatch(value) and _COUNTED.search(name.rstrip("\\\"' \t=:>")):
        return match[0]
    inner = re.match(r"\\*[\"']", value)
    quote = inner[0] if inner is not None else match["quote"]
    return f"{match['before']}{quote}<redacted>{quote}"


def _block(match: re.Match[str]) -> str:
    """Return a block's first line, and that it had some."""
    first, _, rest = match[0].partition("\n")
    return f"{first}\n{match[1]}  <redacted>\n" if rest else match[0]


def _flow(match: re.Match[str]) -> str:
    """Return a list in brackets as one item, in quotes where they are: JSON stays JSON."""
    inner = re.match(r"\\*[\"']", match["items"])
    quote = inner[0] if inner is not None else ""
    return f"{match['before']}{quote}<redacted>{quote}"


def _items(match: re.Match[str]) -> str:
    """Return a list with every item's place, and none of them."""
    return match["before"] + re.sub(r"(-[ \t]+)[^\n]+", r"\1<redacted>", match["items"])


@functools.cache
def _rules() -> tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]:
    """Return the patterns, compiled when the first text is looked at: most commands show nothing secret."""
    return (
        # Keys in PEM, whole or cut off at either end; a line's end may be written as \n inside JSON.
        (
            re.compile(
                r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
            ),
            "<redacted: private key>",
        ),
        # The same in base64, as kubeconfigs and Secrets hold it: "-----BEGIN" comes to LS0tLS1CRUdJTi.
        (re.compile(rf"LS0tLS1CRUdJTi[{_B64}]+=*"), "<redacted: PEM in base64>"),
        # JSON Web Tokens: service accounts', OIDC's. Two parts are enough to know one that was cut off.
        (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"), "<redacted: JWT>"),
        # kubeadm's bootstrap tokens, anywhere, and the names of their Secrets.
        (re.compile(r"(?<![A-Za-z0-9.])[a-z0-9]{6}\.[a-z0-9]{16}(?![A-Za-z0-9.])"), "<redacted: bootstrap token>"),
        (re.compile(r"(bootstrap-token-)[a-z0-9]{6}\b"), r"\1<redacted>"),
        # What kubeadm says after --upload-certs, the key in a line of its own.
        (
            re.compile(r"(certificate key:?\s*(?:\\n)?\s*)[0-9a-f]{64}\b", re.IGNORECASE),
            r"\1<redacted: certificate key>",
        ),
        # user:password@ and token@ in a URL. People write passwords with / and @ in them, too.
        (
            re.compile(r"(?<=://)(?:[^\s/\"'<>@:]{0,128}:[^\s\"'<>]{0,512}|[^\s/\"'<>?#@]{1,512})@(?=[^\s\"'<>@])"),
            "<redacted>@",
        ),
        # Headers, to the end of their line or string.
        (
            re.compile(
                r"""(authorization\\?["']?\s*[:=]\s*\\?["']?)(?!\s|<redacted)[^\n"'\\]+""",
                re.IGNORECASE,
            ),
            r"\1<redacted>",
        ),
        (re.compile(r"\b((?i:Basic|Bearer|Negotiate)(?:\s+|%20))(?=\S*[A-Z0-9=])[\w+/=.~-]{6,}"), r"\1<redacted>"),
        # curl's way, and that of other programs, to be given a user and a password.
        (
            re.compile(r"((?:^|\s)(?:-u|-U|--user|--proxy-user)[\s=]+)[^\s:\"'<]+:[^\s\"']+", re.MULTILINE),
            r"\1<redacted>",
        ),
        # A block of YAML under a telling name.
        (
            re.compile(
                rf"^([ \t]*)[\w.-]{{0,64}}?{_WORD}:[ \t]*[|>][-+0-9]*\n(?:\1[ \t]+\S.*\n?|[ \t]*\n)+",
                re.IGNORECASE | re.MULTILINE,
            ),
            _block,
        ),
        # A list of plain values under one; of imagePullSecrets, say, the items are names and have a colon.
        (
            re.compile(
                rf"^(?P<before>([ \t]*)[\w.-]{{0,64}}?{_WORD}:[ \t]*\n)"
                r"(?P<items>(?:\2[ \t]*-[ \t]+[^\s:{}][^:{}\n]*(?:\n|\Z))+)",
                re.IGNORECASE | re.MULTILINE,
            ),
            _items,
        ),
        (
            re.compile(
                rf"""(?P<before>{_WORD}\\*["']?[ \t]*[:=]\s*\[\s*)(?P<items>[^\]\[{{}}:<\s][^\]\[{{}}:<]*)(?=\])""",
                re.IGNORECASE,
            ),
            _flow,
        ),
        # The same inside a string of JSON, to that string's end.
        (re.compile(rf"({_WORD}:[ \t]*[|>][-+0-9]*)(?:\\+n[ \t]+[^\"\\\n]*)+", re.IGNORECASE), r"\1 <redacted>"),
        # "name": value of JSON, also of a JSON text within JSON (\"). The name in quotes says where a bare value ends.
        (
            re.compile(
                rf"""(?P<before>{_WORD}(?P<quote>\\*["'])\s*:\s*)(?P<value>\\+"[^"\\]*\\+"|{_QUOTED}|[^\s,}}\]]+)""",
                re.IGNORECASE,
            ),
            _named,
        ),
        # --token value, name: value, NAME=value, name => value.
        (
            re.compile(
                rf"""(?P<before>(?P<quote>)(?:(?<![\w-])--[\w.-]{{0,64}}?{_WORD}[=\s]|{_WORD}[ \t]*(?:=>|[:=]))"""
                # A name in the line below that has a value of its own is no value: serviceAccountToken's are harmless,
                # and of an auth's the password is to be found.
                r"""[ \t]*(?:\n[ \t]+(?![\w.-]{1,64}:[ \t]+\S))?)"""
                rf"""(?P<value>{_QUOTED}|[^\s"']+)""",
                re.IGNORECASE,
            ),
            _named,
        ),
    )


_KEY_END = re.compile(rf"[{_B64}=]{{0,128}}-----END [A-Z0-9 ]*PRIVATE KEY-----")
_KEY_LINE = re.compile(rf"\s*[{_B64}=]{{4,}}\s*(?:\\r)?(?:\\n)?")
_SECRET_NAME = re.compile(rf"[\w.-]{{0,64}}?{_WORD}", re.IGNORECASE)


def redact(text: str) -> str:
    """Return ``text`` without what is secret by its form or its name."""
    return redacted(text).text


def redacted(text: str, known: Iterable[str] = ()) -> Redacted:
    """Return the same without the values in ``known``, too, and in how many places there was something."""
    for secret in sorted({one for one in known if len(one) >= SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, "<redacted: known secret>")
    for pattern, by in _rules():
        text = pattern.sub(by, text)
    text = _without_headless_keys(text)
    return Redacted(text, text.count("<redacted"))


def _without_headless_keys(text: str) -> str:
    """Take out keys in PEM whose beginning is missing: the end's line, and the lines of base64 right before it."""
    kept: list[str] = []
    # Line ends may be written as \\n inside JSON; both stay with the line before them.
    for line in re.split(r"(?<=\n)|(?<=\\n)", text):
        if _KEY_END.search(line) is None:
            kept.append(line)
            continue
        while kept and _KEY_LINE.fullmatch(kept[-1]) is not None:
            kept.pop()
        kept.append(_KEY_END.sub("<redacted: private key>", line))
    return "".join(kept)


def redact_object(item: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a Kubernetes object without secret values, and without what only repeats it (managers, last applied).

    A Secret keeps its keys; an environment variable of a telling name keeps that.
    """
    if isinstance(item, list):
        return [redact_object(one) for one in item]
    if isinstance(item, str):
        return redact(item)
    if not isinstance(item, dict):
        return item
    is_secret = item.get("kind") == "Secret"
    named_so = isinstance(item.get("name"), str) and _SECRET_NAME.fullmatch(item["name"]) is not None
    made: dict[str, Any] = {}
    for key, value in item.items():
        if key in ("managedFields", "kubectl.kubernetes.io/last-applied-configuration"):
            continue
        if is_secret and key in ("data", "stringData") and isinstance(value, Mapping):
            made[key] = dict.fromkeys(value, "<redacted>")
        elif isinstance(value, str) and value and ((named_so and key == "value") or _SECRET_NAME.fullmatch(key)):
            made[key] = "<redacted>"
        else:
            made[key] = redact_object(value)
    return made


def of_url(url: str) -> Iterator[str]:
    """Yield the password of a proxy's URL, as it is written and as it is meant."""
    userinfo = url.partition("://")[2].rpartition("@")[0]
    password = userinfo.partition(":")[2] or userinfo
    if password:
        yield from {password, unquote(password)}


def of_key(pem: str) -> Iterator[str]:
    """Yield the lines of a private key: a log may hold one of them."""
    yield from (line for line in pem.splitlines() if len(line) >= 20 and not line.startswith("-----"))  # noqa: PLR2004
