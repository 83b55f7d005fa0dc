"""The edge towards a person at a terminal: the command `sandbox`.

`main` and `arguments` stay light, so that `sandbox --version` and `--help` answer at once: they import nothing but the standard
library and `sandbox.errors`. What a command needs is imported with its own module, when it is chosen.
"""

from sandbox.cli.main import main

__all__ = ["main"]
