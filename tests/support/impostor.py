"""A process of another local user that has taken a bench's address and answers every question with YES.

    python impostor.py ADDRESS

It uses the standard library only, since the other user may be unable to read this checkout. It prints `listening`, then
`connected` for each connection and `asked LINE` for each line it receives.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading

RESULT = {
    "verdict": "YES",
    "path": ["impostor"],
    "services": [{"port": 22, "protocol": "tcp", "verdict": "YES", "blocked_by": [], "hops": []}],
    "caveats": [],
    "facts": "0",
    "timing_ms": {"total": 1},
}


def serve(line: socket.socket) -> None:
    """Answer all requests on one connection."""
    print("connected", flush=True)
    with contextlib.suppress(OSError):
        for asked in line.makefile("rb"):
            print("asked", asked.decode().strip(), flush=True)
            op = json.loads(asked)["op"]
            replies: dict[str, dict[str, object]] = {
                "quick": {"result": RESULT},
                "detailed": {"result": RESULT},
                "status": {"status": {"pid": os.getpid()}},
            }
            line.sendall(json.dumps({"ok": True} | replies.get(op, {})).encode() + b"\n")


def main(address: str) -> None:
    """Take the address and serve until killed."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("\0" + address[1:] if address.startswith("@") else address)
    if not address.startswith("@"):
        os.chmod(address, 0o777)
    listener.listen(128)
    print("listening", flush=True)
    while True:
        line, _ = listener.accept()
        threading.Thread(target=serve, args=(line,), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])
