"""The documents agree with the code about settings, commands, targets and files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from app.cli import COMMANDS
from app.glossary import WORDS
from ledger.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = ROOT / "docs" / "operations.md"
DECISIONS = ROOT / "docs" / "decisions"
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "deploy" / "README.md", *(ROOT / "docs").rglob("*.md")])


def settings_tables() -> str:
    """The tables as docs/operations.md must have them, one for each group of settings."""
    groups = [
        group for group in reversed(Settings.__bases__) if issubclass(group, BaseModel) and group is not BaseSettings
    ]
    assert [name for group in groups for name in group.model_fields] == list(Settings.model_fields)
    return "\n\n".join(map(group_table, groups))


def group_table(group: type[BaseModel]) -> str:
    title = (group.__doc__ or "").removesuffix(".")
    rows = [f"### {title}\n", "| setting | default | what it is |", "|---|---|---|"]
    for name, field in group.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        shown = "empty" if default in (None, "") else f"`{default}`"
        rows.append(f"| `{variables(name, field)[0]}` | {shown} | {field.description} |")
    return "\n".join(rows)


def variables(name: str, field: FieldInfo) -> list[str]:
    """Return the variables of the environment for a setting: today's name, then older ones."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [f"REACHQ_{name.upper()}"]


def test_every_setting_is_documented_as_it_is() -> None:
    assert settings_tables() in OPERATIONS.read_text(), "put this into docs/operations.md:\n" + settings_tables()


def test_no_other_setting_is_named_anywhere() -> None:
    known = {variable for name, field in Settings.model_fields.items() for variable in variables(name, field)}
    for path in [*PAGES, ROOT / "Makefile", ROOT / "Procfile", *(ROOT / "app").rglob("*.py")]:
        assert set(re.findall(r"\bREACHQ_[A-Z][A-Z_]*[A-Z]\b", path.read_text())) <= known, path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_every_command_is_in_the_readme_or_the_guide() -> None:
    text = (ROOT / "README.md").read_text() + OPERATIONS.read_text()
    for name in COMMANDS:
        assert f"reachq {name}" in text, name


def test_make_targets_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        assert set(re.findall(r"`make ([a-z]+)", page.read_text())) <= targets, page


def test_the_hooks_call_targets_of_the_makefile() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = [hook["entry"].split() for repository in config["repos"] for hook in repository["hooks"]]
    assert [words[0] for words in entries] == ["make"] * len(entries)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {words[-1] for words in entries} <= targets
    assert "lint" in {words[-1] for words in entries}


def test_the_changelog_begins_with_this_version_or_what_comes_after_it() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    heads = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    released = [head for head in heads if head != "Unreleased"]
    assert re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", released[0])


def test_the_licence_is_the_one_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_decisions_are_numbered_and_listed() -> None:
    index = (DECISIONS / "README.md").read_text()
    for path in DECISIONS.glob("*.md"):
        if path.name != "README.md":
            assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name), path.name
            assert f"({path.name})" in index, f"{path.name} is not in docs/decisions/README.md"


def test_the_glossary_is_the_same_in_the_pages_and_in_the_documents() -> None:
    rows = [f"| **{word}** | {meaning} |" for word, meaning in WORDS.items()]
    assert "\n".join(rows) in (ROOT / "docs" / "glossary.md").read_text()
    assert 20 <= len(WORDS) <= 40
    assert list(WORDS) == sorted(WORDS, key=str.casefold)


FOLDERS = (
    "app",
    "benchmarks",
    "compat_dispatcher",
    "deploy",
    "docs",
    "dscp",
    "ledger",
    "netlab",
    "networks",
    "scripts",
)
FILES = re.compile(rf"(?:{'|'.join((*FOLDERS, 'tests', 'workers'))})(?:/[\w.-]+)+/?")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_named_exist(page: Path) -> None:
    named = {span for span in re.findall(r"`([^`\n]+)`", page.read_text()) if FILES.fullmatch(span)}
    assert {name for name in named if not (ROOT / name).exists()} == set()


INDICATORS = re.compile(
    r"""\b(?:
    anew | besides | by\ itself | everybody | for\ whom | goes\ on | going\ on | go\ on | hearsay
    | (?<!there\ )is\ no\b(?!\ (?:longer|larger)) | (?:is|are)\ none | heard\ of | lent | nobody | of\ late
    | of\ one's\ own | of\ yours | said\ (?:by|of|to) | sees\ to | somebody | stands?(?!-) | there\ and\ back | told
    | way\ (?:back|there) | whoever
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words that show a translated sentence."""
OTHER_TEXTS = [
    *(ROOT / name for name in ("Dockerfile", "Makefile", "Procfile", "docker-compose.yml", "scripts/setup", ".ci/run")),
    *(ROOT / name for name in ("docs/grafana/reachq.json", "netlab/live/bench.nft")),
    *(file for file in (ROOT / "deploy").rglob("*") if file.is_file() and file.suffix != ".md"),
    *(ROOT / "ledger" / "lua").rglob("*.lua"),
    *(file for file in (ROOT / "app" / "web" / "static").iterdir() if file.suffix in {".js", ".css"}),
]
DOCUMENTS = [*PAGES, *sorted(OTHER_TEXTS)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_documents_are_in_plain_english(document: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", document.read_text(), flags=re.DOTALL)
    assert INDICATORS.findall(prose) == []


@pytest.mark.parametrize(
    "text", ["is no port", "Nobody can", "it was told", "There and back", "lent lanes", "stands for"]
)
def test_the_indicators_find_translated_sentences(text: str) -> None:
    assert INDICATORS.search(text)


@pytest.mark.parametrize("text", ["there is no port", "is no longer used", "silent", "standard", "sign in again"])
def test_the_indicators_accept_plain_sentences(text: str) -> None:
    assert not INDICATORS.search(text)
