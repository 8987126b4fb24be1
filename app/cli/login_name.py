"""The login name that is recorded in events caused by the command line."""

from __future__ import annotations

import os
import pwd


def login_name() -> str:
    """Return the login name of the user of this process, or for example `uid 1000` if the user has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
