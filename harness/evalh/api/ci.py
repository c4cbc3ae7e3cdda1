"""`evalh ci init`: the files by which a gate runs in CI."""

from pathlib import Path
from typing import TYPE_CHECKING

from evalh.core.errors import UsageError, WorkspaceError

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace

_GITHUB = """name: evalh
on:
  pull_request:
  merge_group:
permissions:
  contents: read
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0 # the gate needs the commit where the branch began
          persist-credentials: false
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install evalh
      - run: evalh check
        working-directory: "{folder}"
      # The log travels on: "re-run jobs" is answered from it instead of being a fresh draw.
      - uses: actions/cache@v4
        with:
          path: "{prefix}.evalh"
          key: evalh-${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}
          restore-keys: |
            evalh-${{{{ github.run_id }}}}-
            evalh-
      # A pull request from a fork gets no secrets: recorded answers and baselines alone. Models, routes, budget and
      # code are the merge base's, so nobody's branch decides where your keys are sent.
      - run: evalh gate --base "$BASE" --head HEAD --trust base --comment comment.md --junit gate.xml
        working-directory: "{folder}"
        env:
          BASE: ${{{{ github.event.pull_request.base.sha || github.event.merge_group.base_sha }}}}
          # OPENAI_API_KEY: ${{{{ secrets.OPENAI_API_KEY }}}}
"""
_GITLAB = """evalh:
  image: python:3.12
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
  variables:
    GIT_DEPTH: 0 # the gate needs the commit where the branch began
  cache:
    key: evalh
    paths: ["{prefix}.evalh"]
  script:
    - pip install evalh
    - cd "./{prefix}"
    - evalh check
    - evalh gate --base "$CI_MERGE_REQUEST_DIFF_BASE_SHA" --head HEAD --trust base --junit gate.xml
  artifacts:
    when: always
    reports:
      junit: "{prefix}gate.xml"
"""
_PRE_COMMIT = """repos:
  - repo: local
    hooks:
      - id: evalh-check
        name: evalh check
        entry: evalh -C "{folder}" check
        language: system
        pass_filenames: false
"""
PLACES = {
    "github": (".github/workflows/evalh.yml", _GITHUB),
    "gitlab": (".gitlab/evalh.yml", _GITLAB),
    "pre-commit": (".pre-commit-config.yaml", _PRE_COMMIT),
}
"""Where each service looks for its file, from the repository's root, and what stands in it."""


def write_ci(workspace: "Workspace", service: str) -> Path:
    """Write a service's file at the repository's root; return it. Raises UsageError where one is there already."""
    repository = workspace.repository
    if repository is None:
        reason, hint = workspace.no_git or ("", None)
        raise UsageError(f"CI needs a git repository: {reason}", hint=hint)
    name, template = PLACES[service]
    prefix = repository.prefix
    root = workspace.root
    for _ in prefix.split("/")[:-1]:
        root = root.parent
    text = template.format(prefix=prefix, folder=prefix.rstrip("/") or ".")
    place = root / name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{name} is there already", where=str(place), hint=f"add to it:\n{text}") from None
    except OSError as exc:
        raise WorkspaceError(f"cannot be written: {exc.strerror}", where=str(place)) from exc
    return place
