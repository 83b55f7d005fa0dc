"""Who sits at this terminal: the name that the system has for the user of this process, whatever the environment says."""

from __future__ import annotations

import os


def local_user() -> str:
    """The user's name; `uid N` for one that the system has no name for."""
    try:
        import pwd
    except ImportError:  # Windows
        return os.getlogin()
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
