"""Whether the hub can be asked, and what is told where it cannot. What it needs and lacks: test_prefetch.py."""

import os
import socket
import threading
from dataclasses import replace

import datasets
import huggingface_hub.constants
import pytest

from mcqa.config.errors import DataError, ModelError
from mcqa.data import hub
from mcqa.models import loading
from tests.small_runs import configured


@pytest.fixture
def address(monkeypatch, tmp_path):
    """A server of the hub that nobody has asked yet, and its address."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", *hub.OFFLINE_VARIABLES):
        monkeypatch.setenv(name, "")  # to be as it was after the test
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for library in (huggingface_hub.constants, datasets.config):
        monkeypatch.setattr(library, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "PAUSE_S", 0.01)
    hub.go_offline_if_unreachable.cache_clear()
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield server
    hub.go_offline_if_unreachable.cache_clear()


def is_asked():
    hub.go_offline_if_unreachable()
    libraries = {huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE}
    told = {"HF_HUB_OFFLINE" in os.environ, *libraries}
    assert len(told) == 1
    return told == {False}


def test_a_hub_that_answers_is_asked(address, caplog):
    assert is_asked() and not caplog.records


def test_a_hub_out_of_reach_is_not_asked_and_that_is_said_once(address, caplog, tmp_path):
    address.close()
    assert not is_asked() and not is_asked()
    assert caplog.messages == [
        f"{os.environ['HF_ENDPOINT']} cannot be reached; only what is in the cache {tmp_path} is used."
    ]


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
def test_a_proxy_is_believed_to_reach_it(address, monkeypatch, variable):
    address.close()
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    assert is_asked()


def test_names_that_are_looked_up_for_minutes_are_out_of_reach(address, monkeypatch):
    monkeypatch.setattr(hub, "create_connection", lambda *_: threading.Event().wait())
    monkeypatch.setattr(hub, "TIMEOUT_S", 0.1)
    assert not is_asked()


def test_a_port_that_is_none_is_left_to_the_libraries(address, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:hub")
    assert is_asked()


def test_what_the_user_says_counts(address, monkeypatch):
    address.close()
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    hub.go_offline_if_unreachable()
    assert os.environ["HF_HUB_OFFLINE"] == "0" and not huggingface_hub.constants.HF_HUB_OFFLINE


def test_a_model_and_a_question_set_out_of_reach_are_told_with_the_command_that_brings_them(address, tmp_path):
    address.close()
    config, _ = configured(["model=qwen3_0_6b", "data=openbookqa"])
    advice = f"It is not in the cache {tmp_path}: .*`python -m mcqa.prefetch` with the same arguments downloads it"
    with pytest.raises(ModelError, match=advice):
        loading.load_tokenizer(config.model, [])
    with pytest.raises(DataError, match=advice):
        next(iter(hub.read_rows(config.data, "train")))


def test_a_folder_is_read_without_asking(address, tmp_path):
    address.close()
    config, _ = configured(["model=starter"])
    assert len(loading.load_tokenizer(config.model, [])) > 0
    with pytest.raises(ModelError, match="cannot be loaded"):
        loading.load_tokenizer(replace(config.model, path=str(tmp_path)), [])
    assert "HF_HUB_OFFLINE" not in os.environ
