"""Client of the service of a machine's benches: blocking, with one connection for each request."""

from __future__ import annotations

from pathlib import Path

from netlab.service.address import is_abstract
from netlab.service.line import connected
from netlab.service.replies import OpenBench
from netlab.service.requests import BenchesRequest, CloseRequest, OpenRequest

OPEN_S = 120.0
"""Time limit for opening a bench."""


def service_address(bench_address: str) -> str:
    """Return the address of the service that opens the bench at this address: `benches.sock` in the same folder."""
    if is_abstract(bench_address):
        return f"{bench_address}-benches"
    return str(Path(bench_address).with_name("benches.sock"))


class BenchesClient:
    """The service at one address. `timeout_s` limits each connection and each reply, except that of `open`."""

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s

    def benches(self) -> tuple[OpenBench, ...]:
        """Return the open benches. Raises BenchError."""
        with connected(self._address, self._timeout_s) as line:
            line.send(BenchesRequest())
            return line.receive().benches

    def open(self, bench: str, folder: Path, *, network: str, address: str) -> OpenBench:
        """Open a bench for the facts in `folder`, or wait until it is ready if it is open.

        It listens on `address`, and shows `network` as its name. Raises BenchError: with code `refused` and `problems` if
        the facts cannot be used, and with code `failed` if this machine cannot run the bench.
        """
        with connected(self._address, OPEN_S) as line:
            line.send(OpenRequest(bench, str(folder), network, address))
            return line.receive().benches[0]

    def close(self, bench: str) -> None:
        """End a bench; a bench that is not open is fine. Raises BenchError."""
        with connected(self._address, self._timeout_s) as line:
            line.send(CloseRequest(bench))
            line.receive()
