"""Note in the record who came with which token's name, and who came with none that is good.

Decides how often: an identity is noted once, when it first comes, and not with every request; a failure each time, of whose
floods the record makes summaries (`sandbox.audit.flood`, AUD-07). Rule: a token stands in no record, nor any part of one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.admission import Subject
from sandbox.errors import HostUnavailable
from sandbox.server.http.identity import Identity, Why

_log = logging.getLogger(__name__)


class Record(Protocol):
    """What of `Sandbox` a witness needs: `sandbox.changes.authentications`."""

    def authenticated(self, who: Subject, detail: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Record that somebody came. Raises HostUnavailable."""

    def not_authenticated(self, reason: str, detail: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Record that somebody was not let in. Raises HostUnavailable."""


@dataclass(frozen=True, slots=True)
class Witness:
    """Notes for one server."""

    record: Record

    def accepted(self, identity: Identity, metadata: Mapping[str, Any]) -> None:
        """Note an identity, which is `noted` from then on. Raises HostUnavailable."""
        detail = {} if identity.issuer is None else {"issuer": identity.issuer}
        self.record.authenticated(identity.who, detail, metadata)
        identity.noted = True

    def refused(self, why: Why, metadata: Mapping[str, Any]) -> None:
        """Note a token that stands for nobody."""
        try:
            self.record.not_authenticated(why.value, {}, metadata)
        except HostUnavailable as error:
            # Nobody is let in by that; who comes with a good token is told.
            _log.error("a refused token is not on record: %s", error)
