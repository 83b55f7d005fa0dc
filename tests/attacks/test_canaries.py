"""AUD-04: a credential of no secret store's, put wherever a call can carry one; then every file of the home is looked through."""

from __future__ import annotations

import base64
import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

import pytest

from sandbox import Sandbox
from sandbox.errors import ApprovalPending
from tests.attacks.stage import policy
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="function")

CANARY = "gh" + "p_" + "Canary7" * 6
FORMS = {
    CANARY,
    quote("/" + CANARY, safe=""),
    CANARY.encode().hex(),
    *(base64.b64encode(b"\0" * before + CANARY.encode()).decode()[4:-4] for before in range(3)),
}


def holding(folder: Path) -> list[Path]:
    """The files below a folder that hold the canary, in a usual spelling."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".jsonl" for path in files), "else nothing was recorded"
    return [path for path in files if any(form.encode() in path.read_bytes() for form in FORMS)]


def _denials(home: Path) -> list[str]:
    """The denials that are kept, as they lie in the store."""
    found: list[str] = []
    for path in home.rglob("*.sqlite"):
        with contextlib.closing(sqlite3.connect(path)) as store:
            if store.execute("SELECT 1 FROM sqlite_master WHERE name = 'denials'").fetchone():
                found += [row[0] for row in store.execute("SELECT denial FROM denials")]
    return found


async def test_no_file_of_a_home_holds_a_credential_that_a_call_brought(tmp_path: Path) -> None:
    """In an argument, what is printed, a path and a URL that are denied, a guest's error, a refusal, an approval that waits."""
    home, document = tmp_path / "home", tmp_path / "admission.yaml"
    document.write_text('version: "1.0"\ntemplate: permissive\napprovals: {require: ["every_type__*"]}\n')
    document.chmod(0o600)
    allowed = tmp_path / "policy.yaml"
    (tmp_path / "files").mkdir()
    allowed.write_text(policy(storage=f"uri: fs://{tmp_path / 'files'}, access: [read]"))
    async with Sandbox(home, admission=document, environment={"XDG_CONFIG_HOME": str(tmp_path / "config")}) as sandbox:
        for name in ("prints", "every_type"):
            await sandbox.load(guest(name))
        for name in ("libc_reads", "escape_network"):
            await sandbox.load(guest(name), policy=allowed)
        await sandbox.call("prints__print", {"text": f"to {CANARY} and {base64.b64encode(CANARY.encode()).decode()}"})
        denied = await sandbox.call("libc_reads__read", {"path": f"/{CANARY}/x"})
        assert not denied.outcome.ok
        asked = {"method": "GET", "scheme": "https", "path": f"/?key={CANARY}", "headers": [["X-Key", CANARY]], "body": CANARY}
        for authority in (f"{CANARY}@a.test", f"{CANARY.lower()}.a.test".replace("_", "-"), "a.test"):
            await sandbox.call("escape_network__request", {**asked, "authority": authority})
        kept = _denials(home)
        assert len(kept) >= 2
        assert any("REDACTED" in text for text in kept)
        with pytest.raises(ApprovalPending):
            await sandbox.call("every_type__echo-string", {"x": CANARY}, subject="agent")
        assert holding(home) == []
    assert holding(home) == []
