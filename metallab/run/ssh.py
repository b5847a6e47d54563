"""A machine over SSH: the only home of paramiko. Host keys are pinned; an unknown key is an error, never a question.

The lab makes one host key and one login key itself and hands them to the machines when they are created, so there is
no moment at which a key has to be trusted on first use.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

from metallab import errors, refusals
from metallab.run import cancel, local, pace
from metallab.run.result import Argv, CommandFailed, CommandTimedOut, OnLine, Result, Unreachable

if TYPE_CHECKING:
    import paramiko

PORT = 22
CONNECT_SECONDS = 5.0
KEEPALIVE_SECONDS = 15.0
SILENT_SECONDS = 60.0
"""How long the other end may leave packets without an acknowledgement, in seconds of an ordinary machine."""
GLANCE_SECONDS = 0.02
"""Between two looks whether a command has ended whose output has; mostly the first one sees it."""
CHUNK = 65536
TERMINAL = "xterm-256color"
"""What the other end of a shell is: every program of today's understands it."""
TIMED_OUT = 124
"""Exit status of coreutils' timeout(1) when it ended the command."""


@dataclass(frozen=True)
class Login:
    """How to log in: the user, the lab's private key, and the one host key every machine of the lab has."""

    user: str
    key: Path
    host_key: Path


class Shell:
    """Somebody's shell on a machine: bytes in and out, as a terminal has them. It may be closed from any thread."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def read(self) -> bytes:
        """Wait for what the terminal shows next; nothing once the shell has ended."""
        try:
            return self._channel.recv(CHUNK)
        except (OSError, EOFError):
            return b""

    def write(self, typed: bytes) -> None:
        """Type; what is typed into a shell that has ended is lost, as it is anywhere."""
        with contextlib.suppress(OSError, EOFError):
            self._channel.sendall(typed)

    def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal how large it is shown."""
        import paramiko  # noqa: PLC0415

        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.resize_pty(columns, rows)

    def close(self) -> None:
        """Hang up: what runs in the shell is told so, and a waiting :meth:`read` returns."""
        self._channel.close()


class SshRunner:
    """Runs commands as root on one machine. Connects when first needed, and again once when the machine restarted."""

    def __init__(self, name: str, address: IPv4Address, login: Login) -> None:
        self.name = name
        self.address = address
        self._login = login
        self._client: paramiko.SSHClient | None = None
        self._lock = threading.Lock()

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002 - the word of metallab.run.local.run
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        """Run ``argv`` as root within ``timeout`` seconds of an ordinary machine; the limit is kept there, too.

        Raises :class:`Unreachable` when there is no connection, :class:`CommandTimedOut`, and with ``check``
        :class:`CommandFailed` when the command ends with another status than 0.
        """
        words = tuple(os.fspath(word) for word in argv)
        timeout = pace.scaled(timeout)
        line = shlex.join(("sudo", "-n", "--", "timeout", "--kill-after=5", f"{timeout:.3f}", *words))
        began = time.monotonic()
        channel = self._open(lambda session: session.exec_command(line))
        try:
            deadline = began + timeout + CONNECT_SECONDS
            stdout, stderr = _converse(channel, input, on_line, deadline)
            # A machine that stands still keeps no limit of its own, and its connection does not break.
            rc = channel.recv_exit_status() if _has_ended(channel, deadline) else TIMED_OUT
        except (OSError, EOFError) as error:
            raise Unreachable(self.name, f"the connection broke: {error}") from error
        finally:
            channel.close()
        seconds = time.monotonic() - began
        if rc == TIMED_OUT and seconds >= timeout:
            raise CommandTimedOut(words, timeout, self.name, stdout + stderr)
        if rc == -1:
            raise Unreachable(self.name, "the connection closed before the command ended")
        result = Result(words, rc, stdout, stderr, seconds, self.name)
        local.tell(result)
        if check and not result.ok:
            raise CommandFailed(result)
        return result

    def shell(self, columns: int, rows: int) -> Shell:
        """Open a login shell of the lab's user on a terminal of its own. Raises :class:`Unreachable`."""

        def begin(session: paramiko.Channel) -> None:
            session.get_pty(TERMINAL, columns, rows)
            session.invoke_shell()

        return Shell(self._open(begin))

    def answers(self, timeout: float = CONNECT_SECONDS) -> bool:
        """Tell whether the machine lets us in with the pinned keys. Raises only for a wrong host key.

        A connection from before says nothing: of a machine that lost its power nobody told us.
        """
        with self._lock:
            if self._alive() and self._still_answers(timeout):
                return True
            try:
                self._connect(timeout)
            except Unreachable as error:
                if error.entry is errors.MACHINE_HOST_KEY:
                    raise
                return False
            return True

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _alive(self) -> bool:
        transport = self._client.get_transport() if self._client is not None else None
        return transport is not None and transport.is_active()

    def _still_answers(self, timeout: float) -> bool:
        """Ask the other end for a channel, which takes one round trip."""
        import paramiko  # noqa: PLC0415

        transport = self._client.get_transport() if self._client is not None else None
        if transport is None:
            return False
        try:
            transport.open_session(timeout=pace.scaled(timeout)).close()
        except (paramiko.SSHException, OSError, EOFError):
            return False
        return True

    def _open(self, begin: Callable[[paramiko.Channel], object]) -> paramiko.Channel:
        import paramiko  # noqa: PLC0415 - 0.2 s that most commands do not need

        for attempt in (1, 2):
            with self._lock:
                if not self._alive():
                    self._connect(CONNECT_SECONDS)
                transport = self._client.get_transport() if self._client is not None else None
            try:
                if transport is None:
                    raise EOFError("closed")  # noqa: TRY301 - the same road as a transport that died
                channel = transport.open_session(timeout=pace.scaled(CONNECT_SECONDS))
                begin(channel)
            except (paramiko.SSHException, OSError, EOFError) as error:
                self.close()
                if attempt == 2:  # noqa: PLR2004
                    raise Unreachable(self.name, str(error) or type(error).__name__) from error
            else:
                return channel
        raise AssertionError("the loop above returns or raises")

    def _connect(self, timeout: float) -> None:
        import paramiko  # noqa: PLC0415

        timeout = pace.scaled(timeout)

        # paramiko reports every refused connection on its own logger; the caller is told by the exception.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        kind, key = _host_key(self._login.host_key)
        known_as = str(self.address) if PORT == paramiko.config.SSH_PORT else f"[{self.address}]:{PORT}"
        client.get_host_keys().add(known_as, kind, key)
        try:
            client.connect(
                str(self.address),
                port=PORT,
                username=self._login.user,
                key_filename=str(self._login.key),
                look_for_keys=False,
                allow_agent=False,
                timeout=timeout,
                banner_timeout=timeout,
                auth_timeout=timeout,
            )
        except paramiko.BadHostKeyException as error:
            client.close()
            reason = f"{self.address} showed host key {error.key.get_base64()[:24]}…"
            raise Unreachable(self.name, reason, errors.MACHINE_HOST_KEY) from error
        except ValueError as error:  # what cryptography says of a key that is none
            client.close()
            raise refusals.damaged(self._login.key, error) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            client.close()
            raise Unreachable(self.name, f"{self.address}: {str(error) or type(error).__name__}") from error
        _notice_silence(client.get_transport())
        if self._client is not None:
            self._client.close()
        self._client = client


def _notice_silence(transport: paramiko.Transport | None) -> None:
    """Have a connection break whose other end is gone without a word: not everything that waits for it has a limit.

    A word is sent now and then, and what is not acknowledged in time ends the connection (tcp(7), TCP_USER_TIMEOUT;
    without it, after 15 minutes of repeating).
    """
    if transport is None:
        return
    transport.set_keepalive(int(KEEPALIVE_SECONDS))
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux has it
    if option is not None and isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, option, int(pace.scaled(SILENT_SECONDS) * 1000))


def _host_key(file: Path) -> tuple[str, paramiko.PKey]:
    """Return the kind and the key of a public key's file. Raises LAB-HOST-016 when it holds none."""
    import base64  # noqa: PLC0415

    import paramiko  # noqa: PLC0415

    try:
        kind, blob = file.read_text(encoding="ascii").split()[:2]
        return kind, paramiko.Ed25519Key(data=base64.b64decode(blob))
    except (ValueError, paramiko.SSHException) as error:
        raise refusals.damaged(file, error) from error


def _has_ended(channel: paramiko.Channel, deadline: float) -> bool:
    """Wait until the command's exit status is there, up to the deadline."""
    while not channel.exit_status_ready():
        if time.monotonic() >= deadline:
            return False
        cancel.pause(GLANCE_SECONDS)
    return True


def _converse(
    channel: paramiko.Channel, data: str | bytes | None, on_line: OnLine | None, deadline: float
) -> tuple[str, str]:
    """Send ``data``, then read both streams to their end; ``on_line`` is told of every line of stdout and stderr."""
    if data is not None:
        channel.sendall(data.encode() if isinstance(data, str) else data)
    channel.shutdown_write()
    channel.settimeout(0.25)
    errors_reader = _Lines(on_line)
    failures: list[BaseException] = []

    def drain_errors() -> None:
        try:
            _drain(channel.recv_stderr, errors_reader, deadline)
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that asked
            failures.append(error)

    reader = threading.Thread(target=drain_errors, daemon=True)
    reader.start()
    output_reader = _Lines(on_line)
    _drain(channel.recv, output_reader, deadline)
    reader.join(timeout=CONNECT_SECONDS)
    if failures:
        raise failures[0]
    return output_reader.text(), errors_reader.text()


def _drain(receive: object, lines: _Lines, deadline: float) -> None:
    while time.monotonic() < deadline:
        cancel.check()
        try:
            chunk = receive(CHUNK)  # type: ignore[operator]
        except (socket.timeout, TimeoutError):  # noqa: UP041 - two classes before Python 3.10.?; paramiko raises the first
            continue
        if not chunk:
            return
        lines.feed(chunk)


class _Lines:
    """Collects bytes and hands out whole lines as they are completed."""

    def __init__(self, on_line: OnLine | None) -> None:
        self._chunks: list[bytes] = []
        self._rest = b""
        self._on_line = on_line

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        if self._on_line is None:
            return
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            self._on_line(line.decode(errors="replace"))

    def text(self) -> str:
        if self._on_line is not None and self._rest:
            self._on_line(self._rest.decode(errors="replace"))
            self._rest = b""
        return b"".join(self._chunks).decode(errors="replace")
