"""The login name that events from the command line carry."""

from __future__ import annotations

import os
import pwd


def login_name() -> str:
    """Login name of the user of this process; `uid 1000` for a user without a name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
