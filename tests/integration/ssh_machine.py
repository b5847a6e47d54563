"""A machine of the loopback for tests: an SSH server that gives a real bash on a real terminal to the lab's own key."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import socket
import struct
import termios
import threading
from collections.abc import Iterator

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from metallab.machines.labdir import LabDir

PORT = 22


class _Door(paramiko.ServerInterface):
    """Lets the lab's key in, and gives each session one shell."""

    def __init__(self, key: paramiko.PKey) -> None:
        self._key = key
        self._window = (80, 24)
        self._terminal = -1

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = username == "vagrant" and key.asbytes() == self._key.asbytes()
        return AUTH_SUCCESSFUL if known else AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_pty_request(
        self, channel: paramiko.Channel, term: bytes, width: int, height: int, *_: object
    ) -> bool:
        self._window = (width, height)
        return True

    def check_channel_window_change_request(
        self, channel: paramiko.Channel, width: int, height: int, *_: object
    ) -> bool:
        self._resize(width, height)
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        pid, self._terminal = pty.fork()
        if pid == 0:
            environment = {"TERM": "xterm-256color", "PS1": "$ ", "PATH": os.defpath}
            os.execvpe("bash", ["bash", "--norc"], environment)  # noqa: S606 - the shell is what is asked for
        self._resize(*self._window)
        threading.Thread(target=self._type, args=(channel,), daemon=True).start()
        threading.Thread(target=self._show, args=(channel, pid), daemon=True).start()
        return True

    def _resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def _type(self, channel: paramiko.Channel) -> None:
        with contextlib.suppress(OSError):
            while typed := channel.recv(4096):
                os.write(self._terminal, typed)

    def _show(self, channel: paramiko.Channel, pid: int) -> None:
        with contextlib.suppress(OSError):
            while shown := os.read(self._terminal, 4096):
                channel.sendall(shown)
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGHUP)
        os.waitpid(pid, 0)
        channel.close()


@contextlib.contextmanager
def machine(address: str, labdir: LabDir) -> Iterator[list[paramiko.Transport]]:
    """Answer at an address of the loopback as a machine of the lab does; yield the connections, to be cut."""
    host_key = paramiko.Ed25519Key.from_private_key_file(str(labdir.host_key))
    login = paramiko.Ed25519Key.from_private_key_file(str(labdir.login_key))
    connections: list[paramiko.Transport] = []
    with socket.create_server((address, PORT)) as server:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    transport = paramiko.Transport(connection)
                    transport.add_server_key(host_key)
                    connections.append(transport)
                    transport.start_server(server=_Door(login))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield connections
        finally:
            # What wakes a thread that waits in accept().
            server.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)
            for transport in connections:
                transport.close()
