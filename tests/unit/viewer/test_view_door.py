"""Who has access, over a real socket: others learn nothing."""

import json
from collections.abc import Iterator

import pytest

from evalh.api.workspace import Workspace
from viewing import Viewer, viewing
from workspaces import write_workspace


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    folder = write_workspace(tmp_path_factory.mktemp("secret-workspace"), cases=5)
    Workspace.open(folder).run("triage")
    with viewing(folder) as viewer:
        yield viewer


def _says_nothing(viewer: Viewer, data: bytes) -> bool:
    secrets = (viewer.door.token, "secret-workspace", "triage", "small", "evalh.db")
    return not any(secret.encode() in data for secret in secrets)


@pytest.mark.parametrize(
    "path", ["/", "/{other}/", "/{half}/", "/{token}x/", "/live", "/run/last", "//", "/%2e%2e/", "/?{token}/"]
)
def test_without_the_token_there_is_nothing(viewer: Viewer, path: str) -> None:
    token = viewer.door.token
    other = ("B" if token[0] == "A" else "A") + token[1:]
    asked = path.format(token=token, other=other, half=token[:21])

    got = viewer.ask(f"GET {asked} HTTP/1.1", f"Host: {viewer.door.authority}")

    assert got.status == 404
    assert got.body == b"not found\n"
    assert _says_nothing(viewer, repr(got.headers).encode())


@pytest.mark.parametrize(
    "host",
    ["evil.example:{port}", "evil.example", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}", "127.0.0.1:{port}.evil"],
)
def test_another_name_for_this_machine_is_refused(viewer: Viewer, host: str) -> None:
    got = viewer.get(host=host.format(port=viewer.door.port))

    assert got.status == 403
    assert _says_nothing(viewer, got.body)


def test_one_host_is_named_no_fewer_and_no_more(viewer: Viewer) -> None:
    line, host = f"GET /{viewer.door.token}/ HTTP/1.1", f"Host: {viewer.door.authority}"

    assert viewer.ask(line, host).status == 200
    assert viewer.ask(line, f"Host: localhost:{viewer.door.port}").status == 200
    assert viewer.ask(f"GET /{viewer.door.token}/ HTTP/1.0").status == 403
    assert viewer.ask(line, host, "Host: evil.example").status in {400, 403}


@pytest.mark.parametrize(
    "headers",
    [
        ["Origin: http://evil.example"],
        ["Origin: null"],
        ["Origin: http://127.0.0.1:1"],
        ["Origin: https://{authority}"],
        ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
        ["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"],
        ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"],
    ],
    ids=" ".join,
)
def test_another_page_is_refused_though_it_knows_the_address(viewer: Viewer, headers: list[str]) -> None:
    got = viewer.get("", *[header.format(authority=viewer.door.authority) for header in headers])

    assert got.status == 403
    assert _says_nothing(viewer, got.body)


def test_the_own_page_may_ask_and_a_person_may_follow_a_link(viewer: Viewer) -> None:
    clicked = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]

    assert viewer.get("", *clicked).status == 200
    assert viewer.get("live/", f"Origin: http://{viewer.door.authority}", "Sec-Fetch-Site: same-origin").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_nothing_but_reading_is_offered(viewer: Viewer, method: str) -> None:
    target = viewer.door.authority if method == "CONNECT" else f"/{viewer.door.token}/"
    got = viewer.ask(f"{method} {target} HTTP/1.1", f"Host: {viewer.door.authority}", "Content-Length: 0")

    assert (got.status, got.headers.get("allow")) == (405, "GET, HEAD")


def test_head_is_get_without_a_body(viewer: Viewer) -> None:
    got, head = viewer.get(), viewer.get(method="HEAD")

    assert head.body == b""
    assert head.status == 200
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.body))


def test_the_answers_headers_keep_other_pages_and_caches_out(viewer: Viewer) -> None:
    for path in ("", "live", "run/nothing", "nowhere"):
        headers = viewer.get(path).headers

        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "unsafe" not in headers["content-security-policy"]
        assert ("connect-src" in headers["content-security-policy"]) is (path == "live")
        assert viewer.door.token not in viewer.get(path).text


@pytest.mark.parametrize(
    "path",
    [
        "../../../etc/passwd",
        "..%2f..%2fevalh.toml",
        "run/..%2f..%2fevalh.toml",
        "run/../../evalh.toml",
        "run/%00",
        "run/last",
        "run/r2",
        "run/" + "a" * 200,
        "comparison/x",
        "gate/' or 1=1 --",
        "gate/x",
        "live/" + "r1," * 40 + "r1",
        ".evalh/evalh.db",
    ],
)
def test_what_is_no_page_is_not_found(viewer: Viewer, path: str) -> None:
    got = viewer.ask(f"GET /{viewer.door.token}/{path.replace(' ', '%20')} HTTP/1.1", f"Host: {viewer.door.authority}")

    assert got.status == 404
    assert b"root:" not in got.body
    assert b"[workspace]" not in got.body


def test_a_one_time_address_leads_in_once(viewer: Viewer) -> None:
    path = "/" + viewer.door.once().rpartition("/")[2]
    line, host = f"GET {path} HTTP/1.1", f"Host: {viewer.door.authority}"

    first, second = viewer.ask(line, host), viewer.ask(line, host)

    assert (first.status, first.headers["location"]) == (302, f"/{viewer.door.token}/")
    assert second.status == 404


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00" * 3000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzz",
        b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    ],
    ids=lambda data: repr(data[:24]),
)
def test_noise_is_answered_with_an_error_and_the_server_goes_on(
    viewer: Viewer, data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = viewer.raw(data)

    assert not answer or answer.split()[1] in {b"400", b"403", b"404", b"405", b"431"}
    assert _says_nothing(viewer, answer)
    assert b"aiohttp" not in answer
    assert viewer.get("live/").text == json.dumps({"runs": []})
    assert capfd.readouterr().err == ""
