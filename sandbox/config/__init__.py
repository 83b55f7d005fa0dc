"""What the operator says once for every command and server: `sandbox.yaml`, its variables, its flags.

`places` finds the files, `read` reads one, `variables` reads the environment's twins, `configuration` puts them together.
"""

from sandbox.config.configuration import Configuration, Flags, load_configuration
from sandbox.config.places import Places, find_places
from sandbox.config.settings import Setting

__all__ = ["Configuration", "Flags", "Places", "Setting", "find_places", "load_configuration"]
