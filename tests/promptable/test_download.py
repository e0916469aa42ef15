"""Downloads that break off, go on, and meet servers that do not do what they should."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoweak.promptable import download
from autoweak.promptable.download import DownloadError, ResumingDownloader
from tests.promptable.file_server import FileServer, closed_port, serving

CONTENT = bytes(range(256)) * 8


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    with serving(CONTENT) as server:
        yield server


def downloader(folder: Path, **options: object) -> ResumingDownloader:
    return ResumingDownloader(folder / "file.part", **{"size": len(CONTENT), "chunk": 16, **options})


def got(folder: Path, server: FileServer, **options: object) -> bytes:
    downloader(folder, **options)(server.url, folder / "out")
    return (folder / "out").read_bytes()


def broken_off(folder: Path, server: FileServer, *, after: int = 1000) -> int:
    """Break a download off and return how many bytes were kept."""
    server.break_after = after
    with pytest.raises(DownloadError, match="broke off after"):
        got(folder, server)
    server.break_after = None
    server.asked.clear()
    kept = (folder / "file.part").stat().st_size
    assert after - 16 <= kept <= after
    return kept


def test_a_download_gives_the_file_and_says_how_it_advances(tmp_path: Path, server: FileServer) -> None:
    told = []

    class Listener:
        def stage(self, name: str) -> None: ...
        def update(self, done: int, total: int, text: str) -> None:
            told.append((done, total, text))

    assert got(tmp_path, server, progress=Listener()) == CONTENT
    assert told == [(1, 1, "MB")]
    assert server.ranges == [None]
    assert server.asked[0]["accept-encoding"] == "identity"


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=4), etag=st.sampled_from(['"a"', 'W/"a"', None]))
def test_broken_off_anywhere_the_file_is_whole_in_the_end(cuts: list[int], etag: str | None) -> None:
    with tempfile.TemporaryDirectory() as name, serving(CONTENT) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "*")
        folder, server.etag = Path(name), etag
        for cut in cuts:
            server.break_after = cut
            with contextlib.suppress(DownloadError):
                got(folder, server)
        server.break_after = None
        assert got(folder, server) == CONTENT
        # Nothing is asked for twice but what was lost of the last chunk before each break.
        assert server.sent <= len(CONTENT) + 16 * len(cuts)


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(0, len(CONTENT)))
def test_a_part_of_any_length_is_gone_on_from(cut: int) -> None:
    with tempfile.TemporaryDirectory() as name, serving(CONTENT) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "*")
        folder = Path(name)
        (folder / "file.part").write_bytes(CONTENT[:cut])
        (folder / "file.part.json").write_text(json.dumps({"url": server.url, "etag": server.etag}))
        assert got(folder, server) == CONTENT
        assert server.sent == len(CONTENT) - cut


def test_ctrl_c_leaves_the_part(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient:
        def stage(self, name: str) -> None: ...
        def update(self, done: int, total: int, text: str) -> None:
            if done > 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(download, "_MEGABYTE", 500)
    with pytest.raises(KeyboardInterrupt):
        got(tmp_path, server, progress=Impatient())
    kept = (tmp_path / "file.part").stat().st_size
    assert 500 <= kept < 600
    assert got(tmp_path, server) == CONTENT
    assert server.ranges == [None, f"bytes={kept}-"]


def test_the_rest_is_asked_for_only_of_the_same_version(tmp_path: Path, server: FileServer) -> None:
    kept = broken_off(tmp_path, server)
    assert got(tmp_path, server) == CONTENT
    assert server.asked[0]["range"] == f"bytes={kept}-"
    assert server.asked[0]["if-range"] == '"first"'


def test_a_weak_version_name_is_not_sent(tmp_path: Path, server: FileServer) -> None:
    server.etag = 'W/"first"'
    broken_off(tmp_path, server)
    assert got(tmp_path, server) == CONTENT
    assert "if-range" not in server.asked[0]


@pytest.mark.parametrize("careless", [False, True])
def test_a_changed_file_is_begun_anew(tmp_path: Path, server: FileServer, careless: bool) -> None:
    broken_off(tmp_path, server)
    server.content, server.etag, server.ignore_if_range = CONTENT[::-1], '"second"', careless
    assert got(tmp_path, server) == CONTENT[::-1]
    # The note is of the new version: it can be gone on from as well.
    assert json.loads((tmp_path / "file.part.json").read_text())["etag"] == '"second"'


def test_a_server_that_ignores_ranges_is_listened_to_from_the_start(tmp_path: Path, server: FileServer) -> None:
    broken_off(tmp_path, server)
    server.ignore_range = True
    assert got(tmp_path, server) == CONTENT
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "content_range", ["", "bytes 0-9/2048", "bytes 7-2047/2048", "bytes 1000-2047/9999", "pages 1-2/3"]
)
def test_a_part_that_does_not_fit_is_not_appended(tmp_path: Path, server: FileServer, content_range: str) -> None:
    kept = broken_off(tmp_path, server)
    server.content_range = content_range.replace("1000", str(kept))
    with contextlib.suppress(DownloadError):
        assert got(tmp_path, server) == CONTENT
    assert (tmp_path / "file.part").read_bytes() == CONTENT[: (tmp_path / "file.part").stat().st_size]


@pytest.mark.parametrize("content_range", ["", "bytes 7-2047/2048", "pages 1-2/3"])
def test_after_a_part_that_does_not_fit_the_whole_is_asked_for(
    tmp_path: Path, server: FileServer, content_range: str
) -> None:
    broken_off(tmp_path, server)
    server.content_range = content_range
    assert got(tmp_path, server) == CONTENT
    assert server.ranges[1:] == [None]


def test_a_part_longer_than_the_file_is_thrown_away(tmp_path: Path, server: FileServer) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 3000)
    (tmp_path / "file.part.json").write_text(json.dumps({"url": server.url, "etag": server.etag}))
    assert got(tmp_path, server) == CONTENT
    assert server.ranges == [None]


def test_beyond_the_end_of_a_file_of_unknown_size_it_is_begun_anew(tmp_path: Path, server: FileServer) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 3000)
    (tmp_path / "file.part.json").write_text(json.dumps({"url": server.url, "etag": server.etag}))
    assert got(tmp_path, server, size=None) == CONTENT
    assert server.ranges == ["bytes=3000-", None]


def test_a_part_of_another_address_or_without_a_note_is_thrown_away(tmp_path: Path, server: FileServer) -> None:
    for note in ({"url": "https://elsewhere.org/file.pth", "etag": '"first"'}, None, ["no note"]):
        (tmp_path / "file.part").write_bytes(b"x" * 1000)
        (tmp_path / "file.part.json").write_text("" if note is None else json.dumps(note))
        assert got(tmp_path, server) == CONTENT
        downloader(tmp_path).discard()
    assert server.ranges == [None] * 3


def test_a_complete_part_needs_no_network(tmp_path: Path, server: FileServer) -> None:
    got(tmp_path, server)
    (tmp_path / "out").unlink()
    server.status = 500
    assert got(tmp_path, server) == CONTENT


def test_without_links_the_part_is_moved(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert got(tmp_path, server) == CONTENT
    assert not (tmp_path / "file.part").exists()


@pytest.mark.parametrize(
    ("switches", "sentence"),
    [
        ({"status": 404}, "answered 404 Not Found"),
        ({"status": 503}, "answered 503"),
        ({"kind": "text/html; charset=utf-8"}, "web page, perhaps the sign-in page"),
        ({"encoding": "gzip"}, "in another encoding"),
        ({"content": CONTENT + b"more"}, "gives 2052 bytes and not the 2048"),
        ({"content": CONTENT[:-1]}, "gives 2047 bytes and not the 2048"),
    ],
)
@pytest.mark.parametrize("resumed", [False, True])
def test_another_answer_than_the_file_is_refused_and_keeps_what_came(
    tmp_path: Path, server: FileServer, switches: dict, sentence: str, resumed: bool
) -> None:
    kept = broken_off(tmp_path, server) if resumed else 0
    for name, value in switches.items():
        setattr(server, name, value)
    with pytest.raises(DownloadError, match=sentence):
        got(tmp_path, server)
    assert not (tmp_path / "out").exists()
    if resumed and "content" not in switches:
        assert (tmp_path / "file.part").read_bytes() == CONTENT[:kept]


def test_bytes_without_a_stated_length_are_counted(tmp_path: Path, server: FileServer) -> None:
    server.say_length = False
    assert got(tmp_path, server) == CONTENT
    downloader(tmp_path).discard()
    server.content = CONTENT + b"x" * 100
    with pytest.raises(DownloadError, match="sent more than 2048 bytes"):
        got(tmp_path, server)
    assert not (tmp_path / "file.part").exists()
    server.content = CONTENT[:1500]
    with pytest.raises(DownloadError, match="broke off"):
        got(tmp_path, server)


def test_a_server_that_never_ends_is_not_listened_to_for_ever(tmp_path: Path, server: FileServer) -> None:
    server.say_length, server.content = False, bytes(30_000_000)
    with pytest.raises(DownloadError, match="sent more than 2048 bytes"):
        got(tmp_path, server)
    assert server.sent < len(server.content)  # what fills the system's buffers, and no more


def test_a_file_of_unknown_size_has_a_bound(
    tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LARGEST_BYTES", 2000)
    server.say_length = False
    with pytest.raises(DownloadError, match="sent more than 2000 bytes"):
        got(tmp_path, server, size=None)


def test_a_server_that_falls_silent_is_not_waited_for(tmp_path: Path, server: FileServer) -> None:
    server.pause_after = 1000
    with pytest.raises(DownloadError, match="broke off after"):
        got(tmp_path, server, read_seconds=0.1)
    assert (tmp_path / "file.part").stat().st_size >= 984


def test_no_connection_is_said(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 could not be reached"):
        downloader(tmp_path)(f"http://127.0.0.1:{closed_port()}/file", tmp_path / "out")


def test_a_connection_that_is_not_secure_is_said(tmp_path: Path, server: FileServer) -> None:
    with pytest.raises(DownloadError, match="no secure connection to"):
        downloader(tmp_path)(server.url.replace("http:", "https:"), tmp_path / "out")
    assert server.asked == []


@pytest.mark.parametrize(
    "address", ["http://example.org/file", "ftp://example.org/file", "file:///etc/passwd", "nonsense"]
)
def test_only_https_is_asked(tmp_path: Path, address: str) -> None:
    with pytest.raises(DownloadError, match="is not an https address"):
        downloader(tmp_path)(address, tmp_path / "out")


@pytest.mark.parametrize(
    "target", ["http://192.0.2.1/file", "http://example.org/", "file:///etc/passwd", "ftp://127.0.0.1/"]
)
def test_redirects_to_elsewhere_than_https_are_refused(tmp_path: Path, server: FileServer, target: str) -> None:
    server.redirect = target
    with pytest.raises(DownloadError, match=r"leads on to .* which is not an https address"):
        got(tmp_path, server)


def test_no_redirect_leads_from_https_to_this_machine() -> None:
    with pytest.raises(DownloadError, match="leads on to http://127"):
        download._check_address("http://127.0.0.1/file", start="https://example.org/file")
    download._check_address("https://other.org/file", start="https://example.org/file")


def test_redirects_are_followed_with_the_range_but_not_for_ever(tmp_path: Path, server: FileServer) -> None:
    kept = broken_off(tmp_path, server)
    with serving(b"") as first:
        first.redirect = server.url
        note = {"url": first.url, "etag": server.etag}
        (tmp_path / "file.part.json").write_text(json.dumps(note))
        assert got(tmp_path, first) == CONTENT
        assert server.ranges == [f"bytes={kept}-"]
        first.redirect = "/again"
        downloader(tmp_path).discard()
        with pytest.raises(DownloadError, match="more than 5 times"):
            got(tmp_path, first)
        first.redirect = "http://[broken/"
        with pytest.raises(DownloadError, match="leads on to an address that is none"):
            got(tmp_path, first)
