"""A machine over SSH: the real client against a real server on loopback, which runs the commands here, without sudo."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import paramiko
import pytest
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED, OPEN_SUCCEEDED

from metallab import errors
from metallab.errors import LabError
from metallab.run import cancel, ssh
from metallab.run.cancel import Cancelled
from metallab.run.result import CommandFailed, CommandTimedOut, Unreachable
from metallab.run.ssh import Login, SshRunner

HERE = IPv4Address("127.0.0.1")
PREFIX = ["sudo", "-n", "--"]


class Door(paramiko.ServerInterface):
    """Lets everybody in who has the lab's key, and runs what he asks for."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED if kind == "session" else OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        welcome = key.get_base64() == self.host.allowed
        return AUTH_SUCCESSFUL if welcome else AUTH_FAILED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self.host.serve, args=(channel, command.decode()), daemon=True).start()
        return True


@dataclass
class Host:
    """The server: it has a host key, knows one user key, and may stop answering in the middle of a command."""

    key: paramiko.PKey
    allowed: str
    frozen: bool = False
    transports: list[paramiko.Transport] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                transport = paramiko.Transport(connection)
                transport.add_server_key(self.key)
                self.transports.append(transport)
                with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                    transport.start_server(server=Door(self))

    def serve(self, channel: paramiko.Channel, line: str) -> None:
        if self.frozen:
            return
        words = shlex.split(line)
        assert words[: len(PREFIX)] == PREFIX
        with contextlib.suppress(OSError):
            given = channel.makefile("rb").read()
            pipe = subprocess.PIPE
            argv = words[len(PREFIX) :]
            with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
                self.processes.append(process)
                stdout, stderr = process.communicate(given)
            channel.sendall(stdout)
            channel.sendall_stderr(stderr)
            channel.send_exit_status(process.returncode & 0xFF)
            channel.close()


def new_key(path: Path) -> paramiko.PKey:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], timeout=30, check=True)
    return paramiko.Ed25519Key.from_private_key_file(str(path))


@pytest.fixture
def login(tmp_path: Path) -> Login:
    new_key(tmp_path / "login")
    return Login("vagrant", tmp_path / "login", tmp_path / "host.pub")


@pytest.fixture
def host(tmp_path: Path, login: Login, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    key = new_key(tmp_path / "host")
    allowed = paramiko.Ed25519Key.from_private_key_file(str(login.key)).get_base64()
    served = Host(key, allowed)
    with socket.create_server((str(HERE), 0)) as listener:
        monkeypatch.setattr(ssh, "PORT", listener.getsockname()[1])
        threading.Thread(target=served.accept, args=(listener,), daemon=True).start()
        yield served
        listener.shutdown(socket.SHUT_RDWR)
    for transport in served.transports:
        transport.close()
    for process in served.processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def machine(host: Host, login: Login) -> Iterator[SshRunner]:
    runner = SshRunner("worker-1", HERE, login)
    yield runner
    runner.close()


def test_a_command_runs_with_its_input_and_says_what_it_did(machine: SshRunner) -> None:
    seen: list[str] = []
    result = machine.run(["sh", "-c", "cat; echo oh >&2"], timeout=20, input="a\nb\n", on_line=seen.append)
    assert (result.rc, result.stdout, result.stderr, result.where) == (0, "a\nb\n", "oh\n", "worker-1")
    assert sorted(seen) == ["a", "b", "oh"]
    assert machine.answers()


def test_a_command_that_says_no_is_told_with_its_words_and_its_machine(machine: SshRunner) -> None:
    with pytest.raises(CommandFailed) as caught:
        machine.run(["sh", "-c", "echo no such unit >&2; exit 5"], timeout=20)
    assert caught.value.entry is errors.MACHINE_COMMAND_FAILED
    assert caught.value.what == "exit status 5 from: sh -c 'echo no such unit >&2; exit 5'"
    assert (caught.value.where, caught.value.detail) == ("worker-1", "no such unit")


def test_the_machine_ends_a_command_whose_time_is_up(machine: SshRunner) -> None:
    with pytest.raises(CommandTimedOut) as caught:
        machine.run(["sh", "-c", "echo begun; sleep 30"], timeout=0.3)
    assert caught.value.entry is errors.MACHINE_COMMAND_TIMED_OUT
    assert caught.value.detail == "begun"


def test_a_machine_that_stands_still_keeps_nobody_waiting(
    machine: SshRunner, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 0.5)
    assert machine.answers(5)
    host.frozen = True
    with pytest.raises(CommandTimedOut, match="LAB-MACH-004"):
        machine.run(["true"], timeout=0.2)


def test_another_host_key_is_an_error_and_no_question(machine: SshRunner, host: Host, tmp_path: Path) -> None:
    host.key = new_key(tmp_path / "strangers")
    with pytest.raises(Unreachable) as caught:
        machine.run(["true"], timeout=5)
    assert caught.value.entry is errors.MACHINE_HOST_KEY
    with pytest.raises(Unreachable, match="LAB-MACH-006"):
        machine.answers()


def test_a_key_the_machine_does_not_know_is_no_way_in(machine: SshRunner, host: Host) -> None:
    host.allowed = "another"
    with pytest.raises(Unreachable, match="Authentication failed") as caught:
        machine.run(["true"], timeout=5)
    assert caught.value.entry is errors.MACHINE_UNREACHABLE
    assert not machine.answers()


def test_nobody_at_the_port_is_no_way_in(login: Login, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((str(HERE), 0)) as free:
        monkeypatch.setattr(ssh, "PORT", free.getsockname()[1])
    with pytest.raises(Unreachable, match=r"LAB-MACH-002: no SSH to worker-1: 127\.0\.0\.1"):
        SshRunner("worker-1", HERE, login).run(["true"], timeout=5)


def test_something_else_than_ssh_at_the_port_is_no_way_in(
    login: Login, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def speak_http() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server((str(HERE), 0)) as listener:
        monkeypatch.setattr(ssh, "PORT", listener.getsockname()[1])
        threading.Thread(target=speak_http, daemon=True).start()
        with pytest.raises(Unreachable, match="LAB-MACH-002"):
            SshRunner("worker-1", HERE, login).run(["true"], timeout=5)


def test_a_connection_that_broke_in_between_is_made_again(machine: SshRunner, host: Host) -> None:
    machine.run(["true"], timeout=10)
    for transport in host.transports:
        transport.close()
    assert machine.run(["echo", "again"], timeout=10).stdout == "again\n"


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-ed25519 AAAA", "\x80\x81 x"])
def test_a_damaged_host_key_is_told_with_its_file(machine: SshRunner, login: Login, text: str) -> None:
    login.host_key.write_text(text, encoding="latin-1")
    with pytest.raises(LabError) as caught:
        machine.run(["true"], timeout=5)
    assert caught.value.entry is errors.HOST_FILE_DAMAGED
    assert caught.value.where == str(login.host_key)


@pytest.mark.parametrize("text", [b"", b"no key\n", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", b"\xff\xfe\x00"])
def test_a_damaged_login_key_never_ends_in_an_error_of_the_library(
    machine: SshRunner, login: Login, text: bytes
) -> None:
    login.key.write_bytes(text)
    with pytest.raises(LabError) as caught:
        machine.run(["true"], timeout=5)
    assert caught.value.entry in (errors.MACHINE_UNREACHABLE, errors.HOST_FILE_DAMAGED)


def test_a_listener_that_fails_is_heard_and_no_thread_dies_loudly(
    machine: SshRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_line: str) -> None:
        raise OSError(28, "No space left on device", "vagrant.log")

    with pytest.raises((OSError, LabError)):
        machine.run(["sh", "-c", "echo loud >&2; sleep 0.2"], timeout=10, on_line=full)
    assert "Exception in thread" not in capsys.readouterr().err


def test_ctrl_c_ends_the_wait_for_a_command_without_a_word(
    machine: SshRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    threading.Timer(0.5, cancel.request).start()
    try:
        with pytest.raises(Cancelled):
            machine.run(["sleep", "30"], timeout=60)
    finally:
        cancel.reset()
    assert "Exception in thread" not in capsys.readouterr().err


def test_the_library_does_not_speak_to_the_user(machine: SshRunner, host: Host) -> None:
    host.allowed = "another"
    with contextlib.redirect_stderr(io.StringIO()) as said, pytest.raises(Unreachable):
        machine.run(["true"], timeout=5)
    assert said.getvalue() == ""
