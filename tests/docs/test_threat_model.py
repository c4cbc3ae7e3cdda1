"""The threat model of the gate: each row names tests, and they are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = {
    "T": "gate/test_threats_trust_base",
    "S": "gate/test_threats_suites",
    "L": "gate/test_threats_log",
    "G": "gate/test_gate",
    "K": "gate/test_gate_clusters",
    "N": "gate/test_gate_new_cases",
    "C": "gate/test_hostile_pull_requests",
    "W": "faults/test_writing",
    "J": "faults/test_job_logs",
}


def test_every_threat_has_its_tests() -> None:
    note = (ROOT / "docs/design/010-the-gate.md").read_text(encoding="utf-8")
    rows = [line for line in note.partition("## The threat model")[2].splitlines() if line.startswith("| ")][1:]
    texts = {letter: (ROOT / f"tests/{name}.py").read_text(encoding="utf-8") for letter, name in FILES.items()}
    named = set()

    for row in rows:
        tests = row.strip("| ").rpartition(" | ")[2]
        letter = ""
        found = re.findall(r"\b([TSLGKNCWJ]) (?=`)|`(test_\w+)`", tests)
        assert any(test for _, test in found), row
        for mark, test in found:
            letter = mark or letter
            if test:
                assert f"def {test}(" in texts[letter], (row, test)
                named.add(test)
    assert len(rows) > 40
    written = {test for letter in "TSL" for test in re.findall(r"^def (test_\w+)", texts[letter], re.MULTILINE)}
    threats = {test for test in written if re.search(r"refused|is_not_run|not_read|removed|hides", test)}
    assert threats <= named
