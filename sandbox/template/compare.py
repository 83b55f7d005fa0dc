"""Two templates beside each other: every difference with its example."""

from __future__ import annotations

from itertools import chain

from sandbox.template.examples import (
    Budget,
    Differences,
    environment_differences,
    first,
    keyvalue_differences,
    limit_differences,
    mount_differences,
)
from sandbox.template.examples_files import file_differences
from sandbox.template.examples_network import network_differences
from sandbox.template.template import WasiTemplate


def differences(left: WasiTemplate, right: WasiTemplate) -> Differences:
    """What the two decide differently; not `complete` where there was more to compare than anyone waits for."""
    files, network, environment = Budget(), Budget(), Budget()
    found = first(
        chain(
            file_differences(left, right, files),
            mount_differences(left, right),
            network_differences(left, right, network),
            environment_differences(left, right, environment),
            limit_differences(left.limits, right.limits),
            keyvalue_differences(left, right),
        )
    )
    return Differences(found, complete=min(files.left, network.left, environment.left) >= 0)
