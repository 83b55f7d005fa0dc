"""What is written: a policy document, read strictly; what a grant makes of it."""

from sandbox.policy.load import load_policy, load_policy_file
from sandbox.policy.models import PolicyDocument
from sandbox.policy.schema import policy_schema

__all__ = ["PolicyDocument", "load_policy", "load_policy_file", "policy_schema"]
