"""Build a component from its project: what the project says, which tools do it, and how each language is built."""

from sandbox.cli.building.languages import LANGUAGES
from sandbox.cli.building.project import Project

__all__ = ["LANGUAGES", "Project"]
