import pyarrow as pa
import pytest

from jobs.clusters.axes import Axis, CrossConfig, cross_stage
from jobs.placement import domain_name
from schemas.columns import columns
from tests.contract import check_stage

TABLE = pa.table(
    {
        "domain": ["http-client", "http-client", None, "tea", "tea", "tea"],
        "language": ["C++", None, "Go", "", "Go", "Go"],
        "quality": [0.5, 2.0, 3.0, None, float("nan"), float("inf")],
    },
    schema=columns(
        pa.field("domain", pa.string()), pa.field("language", pa.string()), pa.field("quality", pa.float32())
    ),
)


def test_domains_are_crossed_with_values_and_levels() -> None:
    stage = cross_stage(CrossConfig(axes=(Axis(column="language"), Axis(column="quality", edges=(1.0, 2.0)))))
    names = check_stage(stage, TABLE)["crossed_domain"].to_pylist()
    assert names == [
        "cpp-quality0-http-client",
        "other-quality2-http-client",
        None,
        "other-quality-other-tea",
        "go-quality-other-tea",
        "go-quality2-tea",
    ]
    assert all(name is None or domain_name(name) == name for name in names)


def test_a_config_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="must ascend"):
        Axis(column="quality", edges=(2.0, 1.0))
    with pytest.raises(ValueError, match="at least one column"):
        CrossConfig(axes=())
