"""The RayJob fits KubeRay's schema, and agrees with the pins, the image and the site files of this repository."""

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from jobs.cli import main
from pipeline.site_file import load_site

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT.parent / "shared/data/kuberay"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def load() -> tuple[dict[str, Any], dict[str, Any]]:
    config, job = yaml.safe_load_all((ROOT / "infra/kuberay/rayjob.yaml").read_text())
    return config, job


def pod_specs(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def closed(schema: Any) -> Any:
    """The schema with unknown fields refused, where the API server would drop them in silence."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        changed.setdefault("additionalProperties", False)
    return changed


def rayjob_schema() -> dict[str, Any]:
    path = SCHEMAS / "ray.io_rayjobs.yaml"
    if not path.exists():
        pytest.skip(f"no KubeRay schema in {SCHEMAS}")
    definition = yaml.safe_load(path.read_text())
    schema = next(v["schema"]["openAPIV3Schema"] for v in definition["spec"]["versions"] if v["name"] == "v1")
    schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
    return schema


def test_rayjob_fits_the_schema() -> None:
    _, job = load()
    jsonschema.Draft202012Validator(closed(rayjob_schema())).validate(job)


@pytest.mark.parametrize(
    ("path", "value"),
    [(("backoffLimit",), "two"), (("entryPoint",), "x"), (("rayClusterSpec", "headGroupSpec"), {})],
)
def test_the_schema_notices_mistakes(path: tuple[str, ...], value: object) -> None:
    _, job = load()
    place = job["spec"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(closed(rayjob_schema())).validate(job)


def test_ray_is_the_pinned_one() -> None:
    _, job = load()
    pins = (ROOT / "infra/constraints.txt").read_text().splitlines()
    assert f"ray=={job['spec']['rayClusterSpec']['rayVersion']}" in pins


def test_site_is_the_cluster_example_and_is_mounted_everywhere(tmp_path: Path) -> None:
    config, job = load()
    site = tmp_path / "site.toml"
    site.write_text(config["data"]["site.toml"])
    assert site.read_text() == (ROOT / "infra/sites/cluster.toml").read_text()
    assert load_site(site).ray.address == "auto"
    for spec in pod_specs(job):
        assert [v["configMap"]["name"] for v in spec["volumes"]] == [config["metadata"]["name"]]
        assert [m["mountPath"] for m in spec["containers"][0]["volumeMounts"]] == ["/etc/gristmill"]


def test_every_pod_runs_the_image_of_this_version_with_the_keys_of_the_store() -> None:
    _, job = load()
    containers = [spec["containers"][0] for spec in pod_specs(job)]
    assert {c["image"] for c in containers} == {f"gristmill:{VERSION}"}
    assert {c["envFrom"][0]["secretRef"]["name"] for c in containers} == {"gristmill-store"}
    assert f"-t gristmill:{VERSION} ." in (ROOT / "infra/Dockerfile").read_text()


def test_entrypoint_is_a_command(tmp_path: Path) -> None:
    _, job = load()
    program, *arguments = job["spec"]["entrypoint"].split()
    assert program == "gristmill"
    assert arguments[-2:] == ["--site", "/etc/gristmill/site.toml"]
    shown = CliRunner().invoke(main, [*arguments[:2], "--help"])
    assert shown.exit_code == 0, shown.output
    assert "--site" in shown.output


def test_the_image_gets_the_packages_the_pins_and_nothing_else() -> None:
    allowed = (ROOT / ".dockerignore").read_text().split()
    assert allowed[0] == "*"
    names = {line.removeprefix("!").rstrip("/") for line in allowed if line.startswith("!")}
    assert names == {"infra/constraints.txt", "jobs", "pipeline", "pyproject.toml", "README.md", "schemas", "stages"}
    assert all((ROOT / name).exists() for name in names)
