"""What the component remember remembers, as a client has it: over restarts, within its policy, and nothing without one."""

from __future__ import annotations

from pathlib import Path

from tests.components.served import own_policy, served
from tests.support.components import COMPONENTS

REMEMBER = COMPONENTS / "remember" / "remember.wasm"


def test_without_its_policy_it_remembers_nothing_and_says_so(tmp_path: Path) -> None:
    """And with it a text is there in the next server, until it is forgotten; what would be too much is refused."""
    with served(tmp_path, {REMEMBER: own_policy("remember")}) as first:
        first.gives("remember__remember", name="a", text="hällo")
        assert first.says("remember__remember", name="", text="x") == "a text needs a name"
        assert first.says("remember__remember", name="a", text="x" * 65_537) == "a text has at most 65536 bytes"
    with served(tmp_path, {REMEMBER: 'version: "2.0"\n'}) as without:
        assert without.says("remember__recall", name="a") == "cannot: this component has no store"
    with served(tmp_path, {REMEMBER: own_policy("remember")}) as again:
        assert again.gives("remember__recall", name="a") == "hällo"
        for number in range(15):
            again.gives("remember__remember", name=f"n{number}", text="x" * 65_536)
        assert "would keep" in again.says("remember__remember", name="more", text="x" * 65_536)
        assert len(again.gives("remember__names")) == 16
        assert again.gives("remember__forget", name="a") is True
        assert again.gives("remember__recall", name="a") is None
