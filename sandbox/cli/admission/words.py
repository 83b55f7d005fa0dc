"""The shape of `sandbox admission`: its commands, their words and options, and nothing of what they do."""

from __future__ import annotations

from sandbox.cli.parser import Commands, group, leaf

_DOCUMENTS = "`FILE|NAME …`"


def admissions(commands: Commands) -> None:
    """Add the commands."""
    admission = group(commands, "admission", "check and try documents that say who may make which call")
    summary = "say what a document holds, or all that is wrong with it"
    leaf(admission, "check", "admission.check", summary, _DOCUMENTS, (1, None), completes="admission")
    summary = "run requests with expected answers against a document; exit code 1 where one is another"
    leaf(admission, "test", "admission.test", summary, "`FILE …`", (1, None))
    summary = "show what one document permits and another does not, each with an example; exit code 1 where they differ"
    leaf(admission, "diff", "admission.diff", summary, "`FILE|NAME`, twice", (2, 2), completes="admission")
    summary = "list the documents that ship with the host, or print one"
    leaf(admission, "templates", "admission.templates", summary, "`[NAME]`", (0, 1), completes="admission")
    summary = "print the JSON Schema of admission documents, for editors"
    schema = leaf(admission, "schema", "admission.schema", summary, "nothing more", (0, 0))
    schema.add_argument("--output", metavar="FILE", help="write it there, and say how a document names it")
