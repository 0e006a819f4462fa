"""A download is there whole, or nothing of it is."""

import hashlib
import io
import socket
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from monai.apps import DecathlonDataset
from typer.testing import CliRunner

import medseg
from medseg import InputError
from medseg.cases import public_data
from medseg.cli.commands import app
from medseg.cli.run import main

TASK = "Task09_Spleen"


def tar_of(names=(f"{TASK}/dataset.json", f"{TASK}/imagesTr/a.nii.gz"), link="") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 5
            tar.addfile(info, io.BytesIO(b"bytes"))
        if link:
            info = tarfile.TarInfo(f"{TASK}/link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            tar.addfile(info)
    return stream.getvalue()


@pytest.fixture
def serve(monkeypatch):
    """Serve bytes in the place of the task's archive, and keep the checksum table in step unless told not to."""
    monkeypatch.setenv("no_proxy", "*")
    servers = []

    def start(body: bytes, *, md5: str = "", promised: int | None = None, stall: bool = False):
        asked, end = [], threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                if stall:
                    end.wait(10)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(promised or len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append((server, end))
        table(
            monkeypatch, f"http://127.0.0.1:{server.server_port}/{TASK}.tar", md5 or hashlib.md5(body).hexdigest()
        )
        return asked

    yield start
    for server, end in servers:
        end.set()
        server.shutdown()
        server.server_close()


def table(monkeypatch, url: str, md5: str = "0" * 32) -> None:
    monkeypatch.setattr(DecathlonDataset, "resource", {TASK: url})
    monkeypatch.setattr(DecathlonDataset, "md5", {TASK: md5})


def code_of(destination) -> str:
    with pytest.raises(InputError) as caught:
        medseg.download("msd", TASK, destination)
    assert "\n" not in str(caught.value)
    return caught.value.code


def test_a_data_set_arrives_whole_and_is_not_fetched_twice(serve, tmp_path):
    asked = serve(tar_of())
    folder = medseg.download("msd", TASK, tmp_path / "not/yet")
    assert folder == tmp_path / "not/yet" / TASK
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == [f"not/yet/{TASK}/dataset.json", f"not/yet/{TASK}/imagesTr/a.nii.gz"]
    assert [path.name for path in (tmp_path / "not/yet").iterdir()] == [TASK]
    assert medseg.download("msd", TASK, tmp_path / "not/yet") == folder
    assert len(asked) == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"body": tar_of(), "md5": "0" * 32},
        {"body": tar_of(), "promised": 10**6},
        {"body": b"no archive"},
        {"body": tar_of()[:1000]},
        {"body": tar_of(names=["elsewhere/dataset.json"])},
        {"body": tar_of(names=[f"{TASK}/dataset.json", f"{TASK}/../../out"])},
        {"body": tar_of(names=[f"{TASK}/dataset.json", "/tmp/medseg_out"])},
        {"body": tar_of(link="/etc")},
        {"body": b"", "stall": True},
    ],
    ids=["checksum", "cut", "no_tar", "cut_tar", "other_task", "climbs", "absolute", "link", "stalls"],
)
def test_a_failed_download_leaves_nothing(broken, serve, tmp_path, monkeypatch):
    monkeypatch.setattr(public_data, "TIMEOUT_S", 1.0)
    serve(**broken)
    assert code_of(tmp_path / "data") == "DOWNLOAD_FAILED"
    assert list(tmp_path.rglob("*")) == []


def test_without_a_network_it_says_so_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(public_data, "TIMEOUT_S", 1.0)
    with socket.socket() as taken:  # bound, not listening: nobody answers
        taken.bind(("127.0.0.1", 0))
        for address in (f"127.0.0.1:{taken.getsockname()[1]}", "192.0.2.1"):  # the latter leads nowhere, RFC 5737
            table(monkeypatch, f"http://{address}/a.tar")
            assert code_of(tmp_path) == "DOWNLOAD_FAILED"
    assert list(tmp_path.iterdir()) == []


def test_interrupting_leaves_nothing(serve, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        assert any(tmp_path.iterdir())
        raise KeyboardInterrupt

    serve(tar_of())
    monkeypatch.setattr("monai.apps.extractall", interrupt)
    before = socket.getdefaulttimeout()
    with pytest.raises(KeyboardInterrupt):
        medseg.download("msd", TASK, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert socket.getdefaulttimeout() == before


def test_a_full_disk_leaves_nothing(serve, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    serve(tar_of())
    monkeypatch.setattr("monai.apps.extractall", full)
    assert code_of(tmp_path) == "DOWNLOAD_FAILED"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_data_set_is_not_touched(serve, tmp_path):
    (tmp_path / TASK).mkdir()
    (tmp_path / TASK / "mine.txt").write_text("mine")
    asked = serve(tar_of())
    assert code_of(tmp_path) == "DOWNLOAD_FAILED"
    assert (tmp_path / TASK / "mine.txt").read_text() == "mine"
    assert asked == []


def test_unknown_names_are_answered_with_the_known():
    with pytest.raises(InputError, match=r"CONFIG_BAD_VALUE.*Task09_Spleen.*Task10_Colon"):
        medseg.download("msd", "Task11_Nothing", "anywhere")
    with pytest.raises(InputError, match=r"CONFIG_BAD_VALUE.*msd"):
        medseg.download("nowhere", TASK, "anywhere")


def test_the_command_ends_with_one_line_and_status_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["medseg", "download", "msd", "Task11_Nothing", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert TASK in said


def test_the_command_says_what_is_there(serve, tmp_path):
    serve(tar_of())
    said = [CliRunner().invoke(app, ["download", "msd", TASK, str(tmp_path)]).stdout for _ in range(2)]
    assert "complete" in said[0]
    assert "already" in said[1]
