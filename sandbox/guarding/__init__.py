"""Admission for code that is no component: a function, a web application, an agent's own actions.

The same authorizer, budgets and record as in front of the sandbox; nothing here starts a process.
"""

from sandbox.admission.checked import Checked
from sandbox.guarding.asgi import AdmissionMiddleware
from sandbox.guarding.functions import guard
from sandbox.guarding.gate import PolicyGate, reaches_by
from sandbox.guarding.procedure import Account, Guard
from sandbox.guarding.subjects import current_subject

__all__ = ["Account", "AdmissionMiddleware", "Checked", "Guard", "PolicyGate", "current_subject", "guard", "reaches_by"]
