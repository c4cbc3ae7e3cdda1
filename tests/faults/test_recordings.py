"""What a run exports, another model replays: the same answers, the same numbers, without the first."""

from pathlib import Path

from workspaces import chat_server, document, evalh, write_workspace


def test_an_exported_run_is_replayed_to_the_same_numbers(tmp_path: Path) -> None:
    with chat_server() as (_, model):
        folder = write_workspace(tmp_path, cases=30, model=model)
        bought = document(evalh(folder, "run", "--trials", "2", "--json"))["results"][0]
    evalh(folder, "export", "recorded", bought["run"], "-o", str(folder / "recorded/v1.jsonl.gz"))
    with (folder / "evalh.toml").open("a") as config:
        config.write('[models.again]\nprovider = "replay"\npath = "recorded/{version}.jsonl.gz"\n')

    done = evalh(folder, "run", "--model", "again", "--trials", "2", "--json")

    assert done.returncode == 0, done.stderr
    replayed = document(done)["results"][0]
    for part in ("samples", "good", "bad", "ungraded", "good_rate", "graders", "latency_ms", "cost_per_good_usd"):
        assert replayed[part] == bought[part], part


def test_a_recording_is_not_replayed_for_a_prompt_that_was_edited_since(tmp_path: Path) -> None:
    with chat_server() as (_, model):
        folder = write_workspace(tmp_path, cases=10, model=model)
        evalh(folder, "run", "--json")
    evalh(folder, "export", "recorded", "last", "-o", str(folder / "recorded/v1.jsonl"))
    prompt = folder / "prompts/triage/v1.prompt"
    prompt.write_text(prompt.read_text().replace("Sort the ticket", "Sort this ticket"))
    with (folder / "evalh.toml").open("a") as config:
        config.write('[models.again]\nprovider = "replay"\npath = "recorded/{version}.jsonl"\n')

    done = evalh(folder, "run", "--model", "again", "--json")

    assert done.returncode == 4
    assert document(done)["results"][0]["errors"] == {"not_recorded": 10}
