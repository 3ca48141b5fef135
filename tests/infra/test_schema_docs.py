"""The schema reference says what the code says."""

from infra import schema_docs
from schemas import manifest
from schemas.documents import DOCUMENT, PROBLEMS


def test_page_is_up_to_date() -> None:
    assert schema_docs.PAGE.read_text() == schema_docs.render(), "run make docs"


def test_every_column_problem_and_field_is_there() -> None:
    page = schema_docs.render()
    for name in (*DOCUMENT.names, *PROBLEMS, *manifest.Manifest.model_fields, *manifest.Record.model_fields):
        assert f"| `{name}` |" in page


def test_every_model_of_the_manifest_is_there() -> None:
    models = {
        name
        for name, value in vars(manifest).items()
        if isinstance(value, type) and value.__module__ == manifest.__name__
    }
    assert {name for name in models if not name.startswith("_")} == set(schema_docs.MODELS)


def test_lines_about_columns_become_a_list() -> None:
    page = schema_docs.render()
    assert "\n- `text`: the decoded text without byte order mark" in page
    assert "\n- `language`, `license`, `license_from`: what the source itself says" in page
