"""Every operation of the HTTP API, in the order in which they are described."""

from __future__ import annotations

from sandbox.server.http.api.approvals import APPROVALS
from sandbox.server.http.api.catalogue import CATALOGUE
from sandbox.server.http.api.grants import GRANTS
from sandbox.server.http.api.operations import Operation
from sandbox.server.http.api.records import RECORDS
from sandbox.server.http.api.safety import SAFETY

OPERATIONS: tuple[Operation, ...] = (*SAFETY, *APPROVALS, *GRANTS, *CATALOGUE, *RECORDS)
