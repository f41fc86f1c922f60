"""Whether the hub can be reached, and what happens where it cannot."""

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
    """A server that stands for the hub, with HF_ENDPOINT set to its address."""
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


def hub_is_used():
    hub.go_offline_if_unreachable()
    libraries = {huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE}
    offline = {"HF_HUB_OFFLINE" in os.environ, *libraries}
    assert len(offline) == 1
    return offline == {False}


def test_a_hub_that_answers_is_used(address, caplog):
    assert hub_is_used() and not caplog.records


def test_a_hub_that_cannot_be_reached_is_not_used_with_one_warning(address, caplog, tmp_path):
    address.close()
    assert not hub_is_used() and not hub_is_used()
    assert caplog.messages == [
        f"{os.environ['HF_ENDPOINT']} cannot be reached; only what is in the cache {tmp_path} is used."
    ]


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
def test_a_proxy_is_assumed_to_reach_it(address, monkeypatch, variable):
    address.close()
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    assert hub_is_used()


def test_a_host_name_that_is_looked_up_for_minutes_cannot_be_reached(address, monkeypatch):
    monkeypatch.setattr(hub, "create_connection", lambda *_: threading.Event().wait())
    monkeypatch.setattr(hub, "TIMEOUT_S", 0.1)
    assert not hub_is_used()


def test_a_malformed_port_is_left_to_the_libraries(address, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:hub")
    assert hub_is_used()


def test_a_variable_that_the_user_has_set_decides(address, monkeypatch):
    address.close()
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    hub.go_offline_if_unreachable()
    assert os.environ["HF_HUB_OFFLINE"] == "0" and not huggingface_hub.constants.HF_HUB_OFFLINE


def test_a_model_and_a_question_set_that_cannot_be_reached_come_with_the_command_that_downloads_them(address, tmp_path):
    address.close()
    config, _ = configured(["model=qwen3_0_6b", "data=openbookqa"])
    advice = f"It is not in the cache {tmp_path}: .*`python -m mcqa.prefetch` with the same arguments downloads it"
    with pytest.raises(ModelError, match=advice):
        loading.load_tokenizer(config.model, [])
    with pytest.raises(DataError, match=advice):
        next(iter(hub.read_rows(config.data, "train")))


def test_a_folder_is_read_without_trying_the_hub(address, tmp_path):
    address.close()
    config, _ = configured(["model=starter"])
    assert len(loading.load_tokenizer(config.model, [])) > 0
    with pytest.raises(ModelError, match="cannot be loaded"):
        loading.load_tokenizer(replace(config.model, path=str(tmp_path)), [])
    assert "HF_HUB_OFFLINE" not in os.environ
