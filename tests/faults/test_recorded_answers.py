"""Recorded answers fit the prompts that they were recorded for: an edited one is sent to a model by another command."""

from pathlib import Path

from evalh.api.new_workspace import RECORDED, NewWorkspace, write_workspace
from faults.running import here


def test_an_edited_prompt_without_a_recording_is_told_how_to_ask_a_model(tmp_path: Path) -> None:
    write_workspace(tmp_path, NewWorkspace(model=RECORDED))
    fits = here(tmp_path, "run")
    draft = tmp_path / "prompts/sentiment/draft.prompt"
    draft.write_text(draft.read_text(encoding="utf-8") + "Be brief.\n", encoding="utf-8")

    edited = here(tmp_path, "run")

    assert (fits.exit, edited.exit) == (0, 4)
    assert "ask a model" not in fits.err
    assert "they match only the prompt, inputs and params of the recording" in edited.err
    assert "next: evalh run -m small   ask a model" in edited.err
