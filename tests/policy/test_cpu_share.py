"""`cpu` in both versions of a policy: a share of a core, in one unit each."""

from __future__ import annotations

import pytest

from sandbox.errors import PolicyError
from sandbox.policy.load import load_policy
from sandbox.template.difference import taken_away
from tests.template.compiling import compiled, refused


def share(resources: str, version: str = "2.0") -> int | None:
    return compiled(f"{{resources: {resources}}}", version=version).template.limits.cpu_share


@pytest.mark.parametrize(
    ("resources", "version", "thousandths"),
    [
        ("{limits: {cpu: 500m}}", "2.0", 500),
        ("{limits: {cpu: 500m}}", "1.0", 500),
        ("{cpu: 50}", "1.0", 500),
        ("{cpu: 50.0}", "1.0", 500),
        ("{cpu: 12.5}", "1.0", 125),
        ("{cpu: 200}", "1.0", 2000),
        ("{limits: {memory: 64Mi}}", "2.0", None),
    ],
)
def test_a_share_is_thousandths_of_a_core(resources: str, version: str, thousandths: int | None) -> None:
    assert share(resources, version) == thousandths


@pytest.mark.parametrize("written", ["0", "0.5", "-1", "yes", "50%", "1e2", "12.34", "[50]", '"x"'])
def test_what_is_no_percentage_is_refused(written: str) -> None:
    with pytest.raises(PolicyError, match="is no percentage of a core"):
        load_policy(f'version: "1.0"\npermissions: {{resources: {{cpu: {written}}}}}\n', file="p.yaml")


def test_one_share_in_two_units_is_refused() -> None:
    with pytest.raises(PolicyError, match="stands here twice, in two units"):
        load_policy('version: "1.0"\npermissions: {resources: {cpu: 50, limits: {cpu: 500m}}}\n', file="p.yaml")


def test_a_ceiling_bounds_the_share_and_is_the_default() -> None:
    most = "{resources: {limits: {cpu: 250m}}}"
    assert "write `cpu: 250m` or less" in refused("{resources: {limits: {cpu: 500m}}}", most)
    assert compiled("{}", most).template.limits.cpu_share == 250


def test_a_smaller_share_takes_something_away() -> None:
    half, quarter = (compiled(f"{{resources: {{limits: {{cpu: {cpu}}}}}}}").template for cpu in ("500m", "250m"))
    assert taken_away(half, quarter).limits
    assert not taken_away(quarter, half)
    assert taken_away(compiled("{}").template, half).limits, "a share where there was none"
