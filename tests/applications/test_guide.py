"""`docs/guide/test-my-application.md` works as it is written: its files are written, its commands are run."""

import re
import shlex
from pathlib import Path

from workspaces import evalh

PAGE = Path(__file__).parents[2] / "docs/guide/test-my-application.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_files_and_commands_of_the_guide_work(tmp_path: Path) -> None:
    told = {}
    for language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        first, _, rest = text.partition("\n")
        if language == "sh":
            for line in text.splitlines():
                done = evalh(tmp_path, *shlex.split(line)[1:])
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
                told[line] = done.stdout
        elif first.startswith("# "):
            file = tmp_path / first[2:]
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as written:
                written.write(rest)

    assert "no other run uses the answer again" in " ".join(told["evalh explain support"].split())
    assert "0 asked, 2 answered by the log" in told["evalh run support --model pinned"]
