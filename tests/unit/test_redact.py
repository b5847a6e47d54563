"""What is secret goes, what is not stays; told from texts as they really come."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallab.redaction import of_key, of_url, redact, redact_object, redacted

TEXTS = sorted((Path(__file__).parent.parent / "data" / "redact").iterdir())
SECRET = re.compile("«(.*?)»", re.DOTALL)


def named(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("file", TEXTS, ids=named)
def test_what_is_marked_is_gone_and_everything_else_is_there(file: Path) -> None:
    marked = file.read_text(encoding="utf-8")
    secrets = SECRET.findall(marked)
    found = redacted(SECRET.sub(r"\1", marked))
    for secret in secrets:
        for line in secret.strip("\"'").splitlines():
            assert line not in found.text
    # What is left of the text, in order: its parts between the secrets, each to the last letter.
    place = 0
    for part in SECRET.split(marked)[::2]:
        for line in part.splitlines():
            kept = line.rstrip("\\n\"'} ").strip()
            assert kept in found.text[place:], line
            place = found.text.index(kept, place) + len(kept)
    assert (found.count > 0) == bool(secrets)


@pytest.mark.parametrize("file", TEXTS, ids=named)
def test_a_second_time_there_is_nothing_to_take(file: Path) -> None:
    once = redacted(SECRET.sub(r"\1", file.read_text(encoding="utf-8")))
    assert redact(once.text) == once.text


def test_json_stays_json() -> None:
    document = {"token": "a.b", "password": 'quo"te', "tokens": 5, "nested": [{"client-key-data": "x" * 9}], "n": None}
    for indent in (None, 1):
        read = json.loads(redact(json.dumps(document, indent=indent)))
        values = [read["token"], read["password"], read["tokens"], read["nested"][0]["client-key-data"]]
        assert values == ["<redacted>"] * 4
        assert read["n"] is None
    inner = json.dumps({"body": json.dumps({"password": "hunter22", "user": "x"})})
    assert json.loads(json.loads(redact(inner))["body"]) == {"password": "<redacted>", "user": "x"}


def test_known_values_go_whatever_they_look_like() -> None:
    found = redacted(
        "it said plain-words-1, and plain-words-12; short abc stays", ["plain-words-1", "plain-words-12", "abc"]
    )
    assert found.text == "it said <redacted: known secret>, and <redacted: known secret>; short abc stays"
    assert found.count == 2


def test_objects_lose_values_and_keep_what_they_are() -> None:
    secret = {"kind": "Secret", "metadata": {"name": "memberlist"}, "data": {"secretkey": "c2VjcmV0"}}
    pod = {
        "kind": "Pod",
        "metadata": {
            "managedFields": [1],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "x"},
        },
        "spec": {
            "containers": [
                {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "MODE", "value": "l2"}]},
                {"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
            ],
            "automountServiceAccountToken": False,
        },
    }
    assert redact_object([secret, pod]) == [
        {"kind": "Secret", "metadata": {"name": "memberlist"}, "data": {"secretkey": "<redacted>"}},
        {
            "kind": "Pod",
            "metadata": {"annotations": {"note": "x"}},
            "spec": {
                "containers": [
                    {"env": [{"name": "DB_PASSWORD", "value": "<redacted>"}, {"name": "MODE", "value": "l2"}]},
                    {"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
                ],
                "automountServiceAccountToken": False,
            },
        },
    ]


def test_a_proxys_password_is_known_as_it_is_written_and_as_it_is_meant() -> None:
    assert {*of_url("http://someone:p%40ss@proxy:3128")} == {"p%40ss", "p@ss"}
    assert {*of_url("http://token@proxy")} == {"token"}
    assert [*of_url("http://proxy:3128"), *of_url("")] == []


def test_a_keys_lines_are_known_one_by_one() -> None:
    line = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU"
    assert [*of_key(f"-----BEGIN X-----\n{line}\nshort\n-----END X-----\n")] == [line]


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'\\<"), min_size=8))
def test_a_password_of_any_letters_does_not_survive_where_it_is_named(password: str) -> None:
    if password[0] in "{[|>" or password.strip(",}").lower() in ("", "null", "true", "false", "none", "nil", "~"):
        return
    for text in (f"password={password} x", f'{{"password": "{password}"}}', f"--password {password}\n"):
        assert password not in redact(text)


@pytest.mark.parametrize(
    "piece", ["a", "a-", "token", "-----BEGIN RSA PRIVATE KEY", "a:b@", "://a:", "eyJaaaaaaaaa.", "A\n", "  \n"]
)
def test_a_long_line_takes_no_long_time(piece: str) -> None:
    began = time.monotonic()
    redact(piece * (20_000 // len(piece)))
    assert time.monotonic() - began < 3


KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAA\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("kubeadm join --token abcdef.0123456789abcdef now", "kubeadm join --token <redacted: bootstrap token> now"),
        (f"a\n{KEY}\nb", "a\n<redacted: private key>\nb"),
        (KEY[:60], "<redacted: private key>"),
        ("Bearer eyJhbGciOi.eyJpc3Mi.c2ln-_x!", "Bearer <redacted>!"),
        ("get http://me:pass@proxy:3128/x", "get http://<redacted>@proxy:3128/x"),
        ("client-key-data: LS0tLS1CRUdJTg==", "client-key-data: <redacted>"),
        ("METALLAB_HOST_KEY=LS0tLS1C", "METALLAB_HOST_KEY=<redacted>"),
        ('{"password": "x1"}', '{"password": "<redacted>"}'),
        ("sudo_password=hunter2 next", "sudo_password=<redacted> next"),
        ("token=1234 tokens=5 refreshTokens=123456", "token=<redacted> tokens=<redacted> refreshTokens=<redacted>"),
        ("burstTokens=hunter2 maxTokens: 5x", "burstTokens=<redacted> maxTokens: <redacted>"),
        ("burst token=10", "burst token=<redacted>"),
        ("auth:\n  user: me\n  password: hunter2\n", "auth:\n  user: me\n  password: <redacted>\n"),
        ("auth:\n  password: hunter2\n", "auth:\n  password: <redacted>\n"),
        ("password:\n  hunter2\n", "password:\n  <redacted>\n"),
        ("password:\n  hunter2:\n", "password:\n  <redacted>\n"),
    ],
)
def test_a_command_s_words_lose_their_secrets(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "exit status 1 from: kubectl get nodes",
        "the token is gone",
        "worker-1.lab 192.168.96.11:6443",
        "certificate-authority-data: LS0t",
        "registry.k8s.io/pause:3.10",
    ],
)
def test_a_command_s_other_words_stay(text: str) -> None:
    assert redact(text) == text
