"""Hides the machine's files from a confined tool: it sees programs and libraries, and nothing else. mount(2).

Each other folder in `/` is covered by an empty read-only one. That needs only permission to mount. A new root would
need CAP_SYS_CHROOT or pivot_root(2), which containers forbid.
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

from netlab.kernel import namespaces

_KEPT = frozenset("usr bin sbin lib lib32 lib64 libx32".split())
ETC = "ld.so.cache protocols services ethertypes iproute2 xtables connlabel.conf localtime".split()
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _PRIVATE = 0x1, 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x40000
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000


def hide_files(most: int) -> int:
    """Hide all files from this thread that a tool does not need, and make the others read-only.

    Return a descriptor of a writable folder that the thread sees as /tmp (read-only there). `most` is the maximum
    number of bytes in that folder. Raises OSError.
    """
    _mount("none", "/", "", _REC | _PRIVATE)
    _set_read_only("/", _AT_RECURSIVE)
    roots = [entry for entry in os.scandir("/") if entry.name not in {*_KEPT, "tmp"} and not entry.is_symlink()]
    _mount("tmpfs", "/tmp", "tmpfs", _NOSUID | _NODEV | _NOEXEC, f"mode=0755,size={most}")
    for folder in ("empty", "scripts", "etc"):
        os.mkdir(f"/tmp/{folder}", 0o755)
    Path("/tmp/nothing").touch(0o600)
    for name in ETC:
        _keep(f"/etc/{name}", f"/tmp/etc/{name}")
    for root in roots:
        if root.name == "run":  # the legacy variant of iptables-restore locks a file there
            _mount("tmpfs", "/run", "tmpfs", _NOSUID | _NODEV | _NOEXEC, "mode=0755,size=64k")
        else:
            source = "etc" if root.name == "etc" else "empty" if root.is_dir() else "nothing"
            _mount(f"/tmp/{source}", root.path, "", _BIND | _REC)
            _set_read_only(root.path)
    scripts = os.open("/tmp/scripts", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _mount("/tmp/scripts", "/tmp", "", _BIND)  # covers the other mount, which only `scripts` reaches from now on
    _set_read_only("/tmp")
    os.chdir("/")
    return scripts


def _keep(path: str, place: str) -> None:
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return  # this machine does not have it
    if is_folder:
        os.mkdir(place)
    else:
        Path(place).touch()
    _mount(os.path.realpath(path), place, "", _BIND | _REC)


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    words = (os.fsencode(source), os.fsencode(target), kind.encode() or None, flags, data.encode() or None)
    namespaces.call("mount", *words, what=f"mount {target}")


def _set_read_only(path: str, flags: int = 0) -> None:
    attributes = struct.pack("=QQQQ", _RDONLY, 0, 0, 0)
    words = (_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), flags, attributes, len(attributes))
    namespaces.call("syscall", *words, what=f"mount_setattr {path}")
