"""Who may ask: a request becomes a decision, and only an allowed one becomes an `Admission`."""

from sandbox.admission.authorizer import Admission, Authorizer, Verdict
from sandbox.admission.decision import Constraints, Decision, Ruling
from sandbox.admission.request import CallRequest, RequestId, Resource, canonical_json, digest_of, new_request_id
from sandbox.admission.subject import Subject
from sandbox.admission.usage import Usage

__all__ = [
    "Admission",
    "Authorizer",
    "CallRequest",
    "Constraints",
    "Decision",
    "RequestId",
    "Resource",
    "Ruling",
    "Subject",
    "Usage",
    "Verdict",
    "canonical_json",
    "digest_of",
    "new_request_id",
]
