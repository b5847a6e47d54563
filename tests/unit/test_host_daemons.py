"""The daemons a sandbox can run: how each is started, reached and known again. None is started here."""

from __future__ import annotations

import contextlib
import os
import socket as sockets
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallab.host import daemons, sandbox
from metallab.host.daemons import DOCKER, LIBVIRT, Daemon
from metallab.host.sandbox import Sandbox, machine_prefix

BOTH = pytest.mark.parametrize("daemon", [DOCKER, LIBVIRT], ids=lambda daemon: daemon.program)
PASSWD, GROUP = (Path("/etc", name) for name in ("passwd", "group"))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return a run folder and a data folder."""
    for name in ("run", "data"):
        (tmp_path / name).mkdir()
    return tmp_path / "run", tmp_path / "data"


# -- the command lines -----------------------------------------------------------------------------------------


def test_dockerd_keeps_everything_in_the_two_folders(folders: tuple[Path, Path]) -> None:
    run_dir, data = folders
    argv = DOCKER.argv(run_dir, data, "/metallab-a")
    assert argv[:2] == ["sh", "-c"]
    words = argv[argv.index("dockerd") :]
    assert {word for word in words if "/" in word} == {
        f"--data-root={data}",
        f"--exec-root={run_dir}/exec",
        f"--pidfile={run_dir}/docker.pid",
        f"--host=unix://{run_dir}/docker.sock",
        "--cgroup-parent=/metallab-a",
    }


def test_libvirtd_sees_its_own_folders_in_place_of_the_host_s(folders: tuple[Path, Path]) -> None:
    run_dir, data = folders
    argv = LIBVIRT.argv(run_dir, data, "/metallab-a")
    end = argv.index("--")
    pairs = argv[5:end]
    assert argv[3:5] == ["sh", f"{run_dir}/cgroup"]
    assert dict(zip(pairs[1::2], pairs[::2], strict=True)) == {
        "/etc/libvirt": f"{data}/etc",
        "/var/lib/libvirt": f"{data}/lib",
        "/var/cache/libvirt": f"{data}/cache",
        "/var/log/libvirt": f"{data}/log",
        "/etc/passwd": f"{data}/passwd",
        "/etc/group": f"{data}/group",
        "/run/libvirt": f"{run_dir}/libvirt",
    }
    assert argv[end + 1 :] == [
        *("libvirtd", "--config", f"{run_dir}/libvirtd.conf"),
        *("--pid-file", f"{run_dir}/libvirtd.pid"),
    ]


@pytest.mark.parametrize("script", [DOCKER.SHELL, LIBVIRT.SHELL])
def test_the_shell_in_front_parses_and_becomes_the_daemon(script: str) -> None:
    subprocess.run(["sh", "-n", "-c", script], check=True, timeout=10)
    assert script.rstrip().endswith('exec "$@"')


@BOTH
def test_programs_are_led_to_the_sandbox_s_socket(daemon: Daemon) -> None:
    box = Sandbox("a", daemon)
    (value,) = box.environment.values()
    assert value.endswith(f"/run/metallab/a/{daemon.socket}")
    assert box.environment == daemon.environment(box.socket)


def test_each_kind_has_its_own_variable_and_store() -> None:
    assert Sandbox("a", DOCKER).environment == {"DOCKER_HOST": "unix:///run/metallab/a/docker.sock"}
    uri = "qemu+unix:///system?socket=/run/metallab/a/libvirt/libvirt-sock"
    assert Sandbox("a", LIBVIRT).environment == {"LIBVIRT_DEFAULT_URI": uri}
    assert Sandbox("a", DOCKER).data != Sandbox("a", LIBVIRT).data


@BOTH
def test_the_longest_name_s_socket_fits_into_a_socket_address(daemon: Daemon) -> None:
    assert len(str(Sandbox("a" * 24, daemon).socket)) < 108


# -- what is prepared ------------------------------------------------------------------------------------------


def test_libvirtd_is_root_s_alone_and_asks_nothing_of_the_host(folders: tuple[Path, Path]) -> None:
    run_dir, data = folders
    LIBVIRT.prepare(run_dir, data)
    daemon = (run_dir / "libvirtd.conf").read_text().splitlines()
    assert 'unix_sock_rw_perms = "0700"' in daemon
    qemu = dict(line.split(" = ") for line in (data / "etc" / "qemu.conf").read_text().splitlines())
    assert (qemu["user"], qemu["group"], qemu["security_driver"]) == ('"root"', '"root"', '"none"')
    assert (qemu["cgroup_controllers"], qemu["namespaces"]) == ("[]", "[]")
    assert (data / "etc").stat().st_mode & 0o077 == 0


def test_the_user_libvirtd_looks_up_is_there_once(folders: tuple[Path, Path]) -> None:
    run_dir, data = folders
    for _again in range(2):
        LIBVIRT.prepare(run_dir, data)
    for file in (PASSWD, GROUP):
        theirs, ours = file.read_text().splitlines(), (data / file.name).read_text().splitlines()
        assert [line for line in ours if not line.startswith("libvirt-qemu:")] == [
            line for line in theirs if not line.startswith("libvirt-qemu:")
        ]
        assert len([line for line in ours if line.startswith("libvirt-qemu:")]) == 1


def test_a_user_the_host_has_is_not_named_again(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir, data = folders
    for file in (PASSWD, GROUP):
        known = file.read_text().splitlines()[1].partition(":")[0]
        monkeypatch.setitem(daemons.USERS, file.name, f"{known}:x:1:1::/:/bin/sh")
    LIBVIRT.prepare(run_dir, data)
    assert (data / "passwd").read_text() == PASSWD.read_text()
    assert (data / "group").read_text() == GROUP.read_text()


def test_a_run_folder_is_known_by_its_kind(folders: tuple[Path, Path]) -> None:
    run_dir, data = folders
    assert (DOCKER.is_in(run_dir), LIBVIRT.is_in(run_dir)) == (True, False)
    DOCKER.prepare(run_dir, data)
    assert (DOCKER.is_in(run_dir), LIBVIRT.is_in(run_dir)) == (True, False)
    LIBVIRT.prepare(run_dir, data)
    assert (DOCKER.is_in(run_dir), LIBVIRT.is_in(run_dir)) == (False, True)


@BOTH
def test_clearing_can_be_done_at_any_time(daemon: Daemon, folders: tuple[Path, Path]) -> None:
    run_dir, _data = folders
    for name in ("docker.pid", "libvirtd.pid"):
        (run_dir / name).touch()
    for _again in range(2):
        daemon.clear(run_dir)
    assert len(list(run_dir.iterdir())) == 1


# -- whether it answers ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(path: Path, answer: bytes) -> Iterator[None]:
    """Listen on a socket, and say the one thing to everybody who connects."""
    with sockets.socket(sockets.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            try:
                while True:
                    with server.accept()[0] as client:
                        client.recv(1024)
                        client.sendall(answer)
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(sockets.SHUT_RDWR)
            thread.join(timeout=5)


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"HTTP/1.0 200 OK\r\nApi-Version: 1.51\r\n\r\nOK", True),
        (b"HTTP/1.0 503 Service Unavailable\r\n\r\n", False),
        (b"", False),
    ],
)
def test_docker_answers_when_its_ping_does(tmp_path: Path, answer: bytes, ready: bool) -> None:  # noqa: FBT001
    socket = tmp_path / "docker.sock"
    assert not DOCKER.answers(socket)
    with listening(socket, answer):
        assert DOCKER.answers(socket) is ready
    assert not DOCKER.answers(socket), "a socket that nobody listens on any more"


def test_libvirtd_answers_when_it_listens(tmp_path: Path) -> None:
    socket = tmp_path / "libvirt-sock"
    assert not LIBVIRT.answers(socket)
    with listening(socket, b""):
        assert LIBVIRT.answers(socket)
    assert not LIBVIRT.answers(socket)


# -- whose process it is ---------------------------------------------------------------------------------------

NAMES = st.lists(st.sampled_from(["a", "b", "a1", "ab", "metallab"]), min_size=1, max_size=3).map("-".join)


def words_of(lab: str, daemon: Daemon) -> list[list[bytes]]:
    """Return the command lines of a sandbox's processes, as a running one of each kind had them."""
    box, prefix = Sandbox(lab, daemon), machine_prefix(lab)
    lines = [
        daemon.argv(box.run_dir, box.data, box.cgroup)[5:],
        ["containerd", "--config", f"{box.run_dir}/exec/containerd/containerd.toml"],
        ["containerd-shim-runc-v2", "-address", f"{box.run_dir}/exec/containerd/containerd.sock"],
        ["dnsmasq", f"--conf-file=/var/lib/libvirt/dnsmasq/{prefix}lab.conf", "--leasefile-ro"],
        [
            "qemu-system-x86_64",
            *("-name", f"guest={prefix}cp,debug-threads=on"),
            *("-blockdev", f'{{"driver":"file","filename":"/var/lib/libvirt/images/{prefix}cp.img"}}'),
        ],
    ]
    return [[word.encode() for word in line] for line in lines]


def marked(line: list[bytes], box: Sandbox) -> bool:
    return any(mark in word for word in line for mark in box.marks)


@BOTH
def test_a_sandbox_knows_every_process_of_its_own(daemon: Daemon) -> None:
    assert all(marked(line, Sandbox("a-b", daemon)) for line in words_of("a-b", daemon))


PAIRS = [("a", "a-b"), ("b", "a-b"), ("a", "metallab-a"), ("a", "a-metallab"), ("metallab", "metallab-metallab")]


@BOTH
@pytest.mark.parametrize(("one", "other"), [*PAIRS, *(pair[::-1] for pair in PAIRS)])
def test_no_sandbox_takes_another_s_processes_for_its_own(daemon: Daemon, one: str, other: str) -> None:
    assert not any(marked(line, Sandbox(one, daemon)) for line in words_of(other, daemon))


@given(st.lists(NAMES, min_size=2, max_size=2, unique=True))
def test_no_two_names_can_be_taken_for_each_other(names: list[str]) -> None:
    one, other = names
    assert not machine_prefix(one).startswith(machine_prefix(other))
    for neighbour in (other, f"{one}-{other}", f"metallab-{one}"):
        assert not any(marked(line, Sandbox(one, LIBVIRT)) for line in words_of(neighbour, LIBVIRT))


def test_a_process_is_the_sandbox_s_by_its_program_and_its_words() -> None:
    """Real processes: the right program and words, the right words alone, the right program alone."""
    box = Sandbox(f"unit-{os.getpid()}", LIBVIRT)
    guest = f"guest={machine_prefix(box.lab)}cp"
    lines = (["/x/dnsmasq", guest], ["/x/vi", guest], ["/x/dnsmasq", f"guest={machine_prefix(f'{box.lab}-2')}cp"])
    with contextlib.ExitStack() as stack:
        ours, *_others = [
            # Each is a shell that waits for a line, and ends with its standard input.
            stack.enter_context(
                subprocess.Popen(
                    [program, "-c", "read line", word],
                    executable="/bin/sh",
                    stdin=subprocess.PIPE,
                    start_new_session=True,
                )
            )
            for program, word in lines
        ]
        assert sandbox._daemons(box) == [ours.pid]
