"""A server with only the users of `reachq redis acl`, over TLS, and a record of what each of them did."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from ledger.redis.acl import ROLES
from tests.support.server import Server, server_binary
from tests.support.waiting import wait_until

REDIS_7 = shutil.which("redis-server")
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')


class Certificates:
    """A CA, another CA, and what the first has signed: a server's certificate for `localhost`, and a client's."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        for name in ("ca", "other"):
            self._openssl(
                "req", "-x509", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"
            )
        for name in ("server", "client"):
            self._openssl("req", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
            (folder / f"{name}.ext").write_text("subjectAltName=DNS:localhost")
            signed = ("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
            self._openssl(*signed, "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")

    def __getitem__(self, name: str) -> Path:
        return self.folder / name

    def _openssl(self, command: str, *words: str) -> None:
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes") if command == "req" else ()
        subprocess.run(["openssl", command, *new_key, *words], cwd=self.folder, check=True, capture_output=True)


class Gateway:
    """Passes connections on to a port of 127.0.0.1, from `source`; with `tls` it speaks TLS to the client."""

    def __init__(self, port: int, source: str, tls: ssl.SSLContext | None) -> None:
        self._port, self._source, self._tls = port, source, tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(2)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(
            ("127.0.0.1", self._port), source_address=(self._source, 0)
        ) as server:  # fmt: skip
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    for sock in (one, other):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


@dataclass
class Used:
    """The rights that a user used: commands, and for each key `R`, `W` or neither."""

    commands: set[str] = field(default_factory=set)
    keys: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


DEFAULT_USER = "user default off ~* &* +@all"
"""As in docs/operations.md. Without its rights, Redis 7.0 drops every script's writes when it reads the append-only file."""


class Secured(Server):
    """The server, with a user and a gateway for each role. `acl` is what `reachq redis acl --passwords` printed."""

    def __init__(self, acl: str, passwords: Path, certificates: Certificates, *more: str, debian: bool = False) -> None:
        self._admin = secrets.token_hex(8)
        self.passwords, self.certificates = passwords, certificates
        native = debian and REDIS_7 is not None
        self.port = port = _free_port()
        tls: tuple[str, ...] = ("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "optional")
        tls += ("--tls-cert-file", str(certificates["server.pem"]), "--tls-key-file", str(certificates["server.key"]))
        tls += ("--tls-ca-cert-file", str(certificates["ca.pem"]))
        options = (*(tls if native else ("--port", str(port))), "--bind", "127.0.0.1", *more)
        super().__init__(options=options, binary=Path(REDIS_7) if native and REDIS_7 else server_binary())
        file = self.folder / "users.acl"
        file.write_text(f"{acl}{DEFAULT_USER}\nuser admin on >{self._admin} ~* &* +@all\n")
        self._options += ("--aclfile", str(file))
        context = None
        if not native:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates["server.pem"], certificates["server.key"])
        self._sources = {f"127.0.1.{number}": role for number, role in enumerate(ROLES, 1)}
        self.gateways = {role: Gateway(port, source, context) for source, role in self._sources.items()}
        self._lines: list[bytes] = []

    def client(self) -> redis.Redis:
        """A client of the administrator, over the unix socket."""
        path = str(self.socket)
        return redis.Redis(
            unix_socket_path=path, decode_responses=True, socket_timeout=10, username="admin", password=self._admin
        )

    def address(self, role: str, *, ca: str = "ca.pem") -> str:
        """The URL of a role, without its password."""
        user, port = ROLES[role].user("main"), self.gateways[role].port
        return f"rediss://{user}@localhost:{port}/0?ssl_ca_certs={self.certificates[ca]}"

    def password_file(self, role: str) -> str:
        """The file of its password."""
        return str(self.passwords / ROLES[role].user("main"))

    def settings(self, role: str) -> dict[str, str]:
        """The role's settings, as the environment of a process."""
        return {"REACHQ_REDIS_URL": self.address(role), "REACHQ_REDIS_PASSWORD_FILE": self.password_file(role)}

    def watch(self) -> None:
        """Record every command from now on."""
        self._monitor = socket.socket(socket.AF_UNIX)
        self._monitor.connect(str(self.socket))
        self._monitor.sendall(f"AUTH admin {self._admin}\r\nMONITOR\r\n".encode())
        lines = self._monitor.makefile("rb")
        assert [lines.readline(), lines.readline()] == [b"+OK\r\n"] * 2
        self._reader = threading.Thread(target=lambda: self._lines.extend(lines), daemon=True)
        self._reader.start()

    def used(self) -> dict[str, Used]:
        """End the record: the rights that each role used. Commands in a script belong to the user who sent it."""
        mark = secrets.token_hex(8)
        found: dict[str, Used] = {role: Used() for role in self.gateways}
        with self.client() as client:
            client.echo(mark)
            wait_until(lambda: self._lines and mark.encode() in self._lines[-1], 10, "the record is complete")
            self._monitor.shutdown(socket.SHUT_RDWR)
            self._reader.join(5)
            containers = {name for name, about in client.command().items() if about.get("subcommands")}
            sender = ""
            for line in self._lines:
                place = re.search(rb"\[\d+ ([^\]]*?)(?::\d+)?\] ", line)
                assert place, line
                if place[1] != b"lua":
                    sender = self._sources.get(place[1].decode(), "")
                if sender:
                    words = [word.encode().decode("unicode_escape") for word in _decoded(line[place.end() :])]
                    self._note(found[sender], words, client, containers)
        return found

    @staticmethod
    def _note(used: Used, words: list[str], client: redis.Redis, containers: set[str]) -> None:
        name = words[0].lower()
        used.commands.add(f"{name}|{words[1].lower()}" if name in containers and len(words) > 1 else name)
        if name in ("eval", "evalsha", "auth"):
            return
        with contextlib.suppress(redis.ResponseError):  # it has no keys
            answer: Any = client.command_getkeysandflags(*words)
            for key, flags in answer:
                needs = used.keys[key]
                if "access" in flags:
                    needs.add("R")
                if {"update", "insert", "delete"} & set(flags):
                    needs.add("W")

    def stop(self) -> None:
        """End the server and its gateways."""
        for gateway in self.gateways.values():
            gateway.close()
        super().stop()


def _decoded(rest: bytes) -> list[str]:
    return [word.decode("latin-1") for word in _WORD.findall(rest)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
