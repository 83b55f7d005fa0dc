"""Who may ask: a request becomes a decision, and only an allowed one becomes an `Admission`."""

from sandbox.admission.authorizer import Admission, Authorizer, Verdict
from sandbox.admission.request import CallRequest, Decision, RequestId, Ruling, canonical_json, digest_of, new_request_id

__all__ = [
    "Admission",
    "Authorizer",
    "CallRequest",
    "Decision",
    "RequestId",
    "Ruling",
    "Verdict",
    "canonical_json",
    "digest_of",
    "new_request_id",
]
