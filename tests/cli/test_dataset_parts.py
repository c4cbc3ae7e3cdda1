"""`evalh dataset sample` and `split`: parts that are the same tomorrow, with similar cases together."""

import json
from pathlib import Path
from random import Random

import pytest

from faults.running import Done, here
from workspaces import write_workspace


def line(number: int, *, cluster: str | None = None, ticket: str | None = None) -> str:
    row = {"id": f"t-{number}", "inputs": {"ticket": ticket or f"Ticket {number}"}}
    return json.dumps({**row, "cluster": cluster} if cluster else row) + "\n"


SINGLE = [line(number) for number in range(60)]
NAMED = [line(100 + number, cluster=f"k{number // 5}") for number in range(60)]
EQUAL = [line(200 + number, ticket=f"Same {number // 4}") for number in range(20)]
ROWS = SINGLE + NAMED + EQUAL
CLUSTERS = 60 + 12 + 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(write_workspace(tmp_path / "desk"), ROWS)


def write(folder: Path, rows: list[str]) -> Path:
    (folder / "datasets/triage.jsonl").write_text("".join(rows))
    return folder


def split(folder: Path, *more: str, parts: str = "dev=0.5,test=0.3,rest=0.2") -> Done:
    return here(folder, "dataset", "split", "triage", "--parts", parts, *more)


def part(folder: Path, name: str) -> list[str]:
    return (folder / f"datasets/triage-{name}.jsonl").read_text().splitlines(keepends=True)


def where(folder: Path) -> dict[str, str]:
    """Return the part of each case."""
    return {json.loads(row)["id"]: name for name in ("dev", "test", "rest") for row in part(folder, name)}


def sample(folder: Path, number: int, *more: str) -> list[str]:
    done = here(
        folder, "dataset", "sample", "triage", "-n", str(number), "-o", str(folder / "s.jsonl"), "--force", *more
    )
    assert done.exit == 0, done.err
    return (folder / "s.jsonl").read_text().splitlines(keepends=True)


def test_each_row_is_in_one_part_as_it_was_written_and_similar_cases_are_together(folder: Path) -> None:
    done = split(folder)

    assert done.exit == 0, done.err
    written = {name: part(folder, name) for name in ("dev", "test", "rest")}
    assert sorted(row for rows in written.values() for row in rows) == sorted(ROWS)
    assert all(rows == [row for row in ROWS if row in rows] for rows in written.values())
    placed = where(folder)
    assert all(len({placed[f"t-{100 + 5 * k + n}"] for n in range(5)}) == 1 for k in range(12))
    assert all(len({placed[f"t-{200 + 4 * k + n}"] for n in range(4)}) == 1 for k in range(5))
    assert f"wrote datasets/triage-dev.jsonl: {len(written['dev'])} cases in " in done.out
    assert here(folder, "dataset", "clusters", "triage-dev").exit == 0


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_are_added_or_moved_leave_the_others_where_they_were(folder: Path, seed: int) -> None:
    assert split(folder, "--seed", str(seed)).exit == 0
    before = where(folder)
    more = [line(300 + n) for n in range(40)] + [
        line(400, cluster="k3"),
        line(401, ticket="Same 2"),
        line(402, ticket="Ticket 7"),
    ]
    mixed = [*ROWS, *more]
    Random(seed).shuffle(mixed)
    write(folder, mixed)

    assert split(folder, "--seed", str(seed), "--force").exit == 0

    after = where(folder)
    assert {case: after[case] for case in before} == before
    assert (after["t-400"], after["t-401"], after["t-402"]) == (before["t-115"], before["t-208"], before["t-7"])


def test_another_seed_makes_other_parts(folder: Path) -> None:
    made = []
    for seed in ("1", "2"):
        assert split(folder, "--seed", seed, "--force").exit == 0
        made.append(part(folder, "dev"))

    assert made[0] != made[1]


def test_a_file_that_is_there_is_not_replaced_and_then_none_is_written(folder: Path) -> None:
    mine = folder / "datasets/triage-test.jsonl"
    mine.write_text("mine")

    refused = split(folder)
    left = sorted(one.name for one in mine.parent.iterdir())
    forced = split(folder, "--force")

    assert refused.exit == 2
    assert "triage-test.jsonl: exists already; nothing was written" in refused.err
    assert left == ["triage-test.jsonl", "triage.jsonl"]
    assert forced.exit == 0, forced.err
    assert mine.read_text() != "mine"


def test_a_name_that_would_mean_two_files_is_refused(folder: Path) -> None:
    (folder / "datasets/triage-dev.csv").write_text("id,ticket\n")

    done = split(folder, "--force")

    assert done.exit == 2
    assert "datasets/triage-dev.csv" in done.err
    assert not (folder / "datasets/triage-dev.jsonl").exists()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ("dev=0.5,test=0.4", "must sum to 1, not to 0.9"),
        ("dev=0.5,dev=0.5", "'dev' comes twice"),
        ("dev=0.5,test", "'test' is not a name and its share"),
        ("dev=0.5,test=half", "'test=half' is not a name and its share"),
        ("", "'' is not a name and its share"),
        ("dev=1", "must be from 0.001 to less than 1"),
        ("dev=NaN,test=1", "the share of 'dev' must be"),
        ("dev=Infinity,test=0.5", "the share of 'dev' must be"),
        ("dev=1e-999999999,test=0.5", "the share of 'dev' must be"),
        ("dev=1e999999999,test=0.5", "the share of 'dev' must be"),
        ("dev=-0.5,test=0.5", "the share of 'dev' must be"),
        ("../dev=0.5,test=0.5", "cannot name a part"),
        ("=0.5,test=0.5", "'' cannot name a part"),
        (f"{'d' * 300}=0.5,test=0.5", "cannot name a part"),
        ("d\u00e9v=0.5,test=0.5", "cannot name a part"),
        ("dev=0.999,test=0.001", "part 'test' with share 0.001 gets none of the"),
    ],
)
def test_shares_that_make_no_parts_are_refused(folder: Path, parts: str, message: str) -> None:
    done = split(folder, parts=parts)

    assert done.exit == 2
    assert message in done.err
    assert [one.name for one in (folder / "datasets").iterdir()] == ["triage.jsonl"]


def test_csv_rows_keep_their_heading_and_their_bytes(folder: Path) -> None:
    (folder / "datasets/triage.jsonl").unlink()
    head = "\ufeffsep=;\r\nid;ticket;;\r\n"
    rows = [f'c{n};"a ""quoted"" cell;\r\nof two lines {n}";;\r\n' for n in range(40)]
    (folder / "datasets/triage.csv").write_bytes((head + "".join(rows)).encode())

    done = split(folder, parts="dev=0.5,test=0.5")

    assert done.exit == 0, done.err
    texts = [(folder / f"datasets/triage-{name}.csv").read_bytes().decode() for name in ("dev", "test")]
    assert all(text.startswith(head) for text in texts)
    assert sum(len(text) - len(head) for text in texts) == sum(map(len, rows))
    assert all((row in texts[0]) != (row in texts[1]) for row in rows)


def test_a_sample_counts_similar_cases_once_and_a_larger_one_has_the_same_and_more(folder: Path) -> None:
    drawn = {number: sample(folder, number, "--seed", "3") for number in (5, 20, 40, CLUSTERS, 1000)}

    assert [len(rows) for rows in drawn.values()] == [5, 20, 40, CLUSTERS, CLUSTERS]
    assert set(drawn[5]) < set(drawn[20]) < set(drawn[40]) < set(drawn[CLUSTERS])
    assert drawn[40] == [row for row in ROWS if row in drawn[40]]
    assert drawn[20] != sample(folder, 20, "--seed", "4")
    write(folder, ROWS[::-1])
    assert sorted(drawn[20]) == sorted(sample(folder, 20, "--seed", "3"))


def test_whole_clusters_are_taken_where_that_is_asked_for(folder: Path) -> None:
    drawn = sample(folder, 40, "--whole")

    names = [name for row in drawn if (name := json.loads(row).get("cluster"))]
    assert names
    assert all(names.count(name) == 5 for name in names)
    assert len(drawn) > 40
    assert sorted(sample(folder, 1000, "--whole")) == sorted(ROWS)


def test_a_sample_is_not_drawn_from_one_part_of_a_split_with_the_same_seed(folder: Path) -> None:
    assert split(folder).exit == 0
    placed = where(folder)

    assert {placed[json.loads(row)["id"]] for row in sample(folder, 20)} == {"dev", "test", "rest"}


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("s.csv", "must end in .jsonl"),
        ("s", "must end in .jsonl"),
        ("/dev/stdout", "must end in .jsonl"),
        ("datasets/triage.jsonl", "is the dataset itself"),
        ("datasets/../datasets/triage.jsonl", "is the dataset itself"),
        (f"{'s' * 300}.jsonl", "cannot write"),
        ("datasets/triage.jsonl/s.jsonl", "is not a folder"),
    ],
)
def test_a_file_that_cannot_take_a_sample_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, output: str, message: str
) -> None:
    monkeypatch.chdir(folder)

    done = here(folder, "dataset", "sample", "triage", "-n", "3", "-o", output, "--force")

    assert done.exit == 2
    assert message in done.err
    assert (folder / "datasets/triage.jsonl").read_text() == "".join(ROWS)


def test_a_sample_does_not_replace_a_file_unless_forced(folder: Path) -> None:
    (folder / "s.jsonl").write_text("mine")

    done = here(folder, "dataset", "sample", "triage", "-n", "3", "-o", str(folder / "s.jsonl"))

    assert done.exit == 2
    assert "--force" in done.err
    assert (folder / "s.jsonl").read_text() == "mine"


def test_similar_cases_that_no_cluster_holds_together_are_told(folder: Path) -> None:
    tied = [line(n, ticket=f"My order {n} has not come, where is it?", cluster="k") for n in (500, 501)]
    untied = [line(n, ticket=f"Since {n} the app shows a white page.") for n in (502, 503)]
    write(folder, [*ROWS, *tied])
    quiet = split(folder)
    write(folder, [*ROWS, *tied, *untied])

    told = split(folder, "--force")

    assert "evalh dataset clusters" not in quiet.err
    assert "1 group of similar cases is in no common cluster: see evalh dataset clusters triage" in told.err


def test_json_says_what_was_written(folder: Path) -> None:
    drawn = json.loads(
        here(folder, "dataset", "sample", "triage", "-n", "3", "-o", str(folder / "s.jsonl"), "--json").out
    )
    made = json.loads(split(folder, "--json", parts="dev=0.5,test=0.5").out)

    assert (drawn["cases"], drawn["clusters"], drawn["seed"]) == (len(ROWS), CLUSTERS, 1)
    assert drawn["parts"] == [{"part": None, "share": None, "path": str(folder / "s.jsonl"), "cases": 3, "clusters": 3}]
    assert [(one["part"], one["share"], one["path"]) for one in made["parts"]] == [
        ("dev", 0.5, "datasets/triage-dev.jsonl"),
        ("test", 0.5, "datasets/triage-test.jsonl"),
    ]
    assert sum(one["cases"] for one in made["parts"]) == len(ROWS)
    assert sum(one["clusters"] for one in made["parts"]) == CLUSTERS
