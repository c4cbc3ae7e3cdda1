"""What Nunjucks itself renders: the texts with which an imported template must agree.

Writes tests/recorded/promptfoo/templates.json. Nunjucks comes from npm, into a folder of its own; evalh needs none.

    python benchmarks/peers/nunjucks_renderings.py --peers /tmp/evalh-bench-peers
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

RECORDED = Path(__file__).parents[2] / "tests/recorded/promptfoo/templates.json"
VERSION = "3.2.4"
VALUES = {
    "name": 'Ada & <b>"x"',
    "n": 5,
    "half": 0.5,
    "small": 1e-7,
    "large": 1e21,
    "yes": True,
    "no": False,
    "nothing": None,
    "items": ["a", "b", "c"],
    "mixed": [1, None, "x", [2, 3]],
    "user": {"name": "Bob", "age": 7, "tags": ["x"]},
    "empty": "",
    "none": [],
    "log": "a name with a meaning",
}
TEMPLATES = [
    *(
        "plain text",
        "{{name}}",
        "{{ name }}!",
        "a {{n}} b {{half}} c",
        "{{small}} {{large}}",
        "{{yes}} {{no}}",
        "{{nothing}}|",
    ),
    *(
        "{{items}}",
        "{{mixed}}",
        "{{user}}",
        "{{user.name}} is {{ user.age }}",
        "{{user.missing}}|",
        "{{missing}}|",
        "{{log}}",
    ),
    *(
        "{{missing.deep.er}}|",
        "{# a note #}x",
        "x{# {{name}} #}y",
        "{% raw %}{{name}}{% endraw %} {{n}}",
        "open {{ name",
        "}} {{n}}",
    ),
    *(
        "a {% if yes %}Y{% else %}N{% endif %}",
        "{% if no %}Y{% elif n == 5 %}five{% else %}N{% endif %}",
        "{% if missing %}Y{% endif %}.",
    ),
    *(
        "{% if none %}true{% else %}false{% endif %}",
        "{% if empty %}Y{% endif %}|",
        "{% for x in items %}[{{x}}]{% endfor %}",
    ),
    *(
        "{% for x in items %}{{loop.index}}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
        "{% for k, v in user %}{{k}};{% endfor %}",
    ),
    *(
        "{{ name | upper }}",
        "{{ name | lower | trim }}",
        "{{ items | join(', ') }}",
        "{{ items | length }}",
        "{{ items.length }}",
    ),
    *(
        "{{ name.length }}",
        "{{ missing | default('none') }}",
        "{{ user | dump }}",
        "{{ name | dump }}",
        "{{ n + 1 }}",
        "{{ n * 2 - 1 }}",
    ),
    *(
        "{{ name.toUpperCase() }}",
        "{% if name === 'x' %}a{% else %}b{% endif %}",
        "{% set y = n + 1 %}{{ y }}",
        "{{ items[0] }}",
        "{{ user['name'] }}",
    ),
    *(
        "{{ 'quoted' }}",
        '{{ "it\'s" }}',
        "{{ items | first }}-{{ items | last }}",
        "{{ name | replace('Ada', 'Eve') }}",
        "a\n{%- if yes %}\nb{% endif %}",
    ),
    *(
        "{{ name | truncate(5) }}",
        "{{ env.HOME }}",
        "{{ name | nosuch }}",
        "{% include 'x' %}",
        "{{ yes and no }}",
        "{{ yes if no else n }}",
        "{{ n > 3 }}",
    ),
    *(
        "{{ items | reverse }}",
        "{{ half | round }}",
        "{{ name | capitalize }}",
        "{{ user.tags[0] }}",
        "{{ '{{' }}",
        "\\{{name}}",
        "a { b } {c}",
        "{ {name} }",
    ),
    *(
        "{{ n is odd }}",
        "{{ items | sort }}",
        "{{ n // 2 }}",
        "{{ n % 2 }}",
        "{{ 'a' in items }}",
        "{{ name | safe }}",
        "{{ name | escape }}",
        "x  {{n}}  \n\n",
    ),
]
SCRIPT = """
const nunjucks = require('nunjucks');
const engine = new nunjucks.Environment(null, { autoescape: false });
const { templates, values } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(templates.map((template) => {
  try { return engine.renderString(template, values); } catch (error) { return null; }
})));
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=Path(tempfile.gettempdir()) / "evalh-bench-peers")
    peers: Path = parser.parse_args().peers
    if not (peers / "node_modules/nunjucks").exists():
        peers.mkdir(parents=True, exist_ok=True)
        package = f"nunjucks@{VERSION}"
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", peers, package], check=True)
    asked = json.dumps({"templates": TEMPLATES, "values": VALUES})
    done = subprocess.run(["node", "-e", SCRIPT], cwd=peers, input=asked, capture_output=True, text=True, check=True)
    texts = json.loads(done.stdout)
    document = {"nunjucks": VERSION, "values": VALUES, "texts": dict(zip(TEMPLATES, texts, strict=True))}
    RECORDED.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(texts)} templates, {texts.count(None)} of them refused")


if __name__ == "__main__":
    main()
