"""What all tests share: no configuration of whoever runs them; skips are counted and told, and with CI=true they fail the run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

REFUSED = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def _not_this_users_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests may have a `sandbox.yaml`, secrets and variables of his own: they are not looked at."""
    with pytest.MonkeyPatch.context() as user:
        user.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        for name in [name for name in os.environ if name.startswith("SANDBOX_")]:
            user.delenv(name)
        yield


def skipped(reporter: pytest.TerminalReporter) -> int:
    """How many tests said that they did not run."""
    return len(reporter.stats.get("skipped", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The count, before pytest's own last line."""
    count = skipped(terminalreporter)
    refused = ", refused: CI=true lets no test stay away" if count and os.environ.get("CI") else ""
    terminalreporter.write_line(f"tests skipped: {count}{refused}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI=true a skip is a failure: what was not run has shown nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and os.environ.get("CI") and skipped(reporter) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = REFUSED
