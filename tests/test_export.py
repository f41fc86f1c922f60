"""What is exported loads with transformers or PEFT alone, has the run's scores, and can be pushed to a hub."""

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from mcqa import export
from mcqa.config.errors import ConfigError, ModelError
from mcqa.data.prompts import requests
from mcqa.evaluation import predictions
from mcqa.models.of_run import stored_run
from tests.small_runs import smaller, trained

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(questions_folder, tmp_path_factory):
    """The folder of a run with a 4-bit base, and its two exports by kind."""
    overrides = [*smaller(questions_folder, tmp_path_factory.mktemp("run")), "+experiment=smoke", "peft=qlora"]
    folder, _ = trained(overrides)
    out = tmp_path_factory.mktemp("exports")
    for kind in ("merged", "adapter"):
        export.main([str(folder), f"to={kind}", f"out={out / kind}"])
    return folder, out


def scores(model, tokenizer, pairs):
    """Summed log-probabilities, in the plainest way."""
    import torch

    values = []
    for before, after in pairs:
        ids = tokenizer(before + after, return_tensors="pt")["input_ids"]
        start = len(tokenizer(before)["input_ids"])
        with torch.inference_mode():
            logits = model(ids).logits.log_softmax(-1)
        values.append(sum(logits[0, at - 1, ids[0, at]].item() for at in range(start, ids.shape[1])))
    return values


def expected(folder, count=6):
    """The pairs of texts of some test questions, and the run's own scores of them."""
    _, config = stored_run(str(folder), folder)
    rows = predictions.read(folder / "predictions" / "test.jsonl")[:count]
    return [(requests(None, config.prompt, row.question, None), row.scores) for row in rows]


@slow
@pytest.mark.parametrize("kind", ["merged", "adapter"])
def test_the_code_in_the_card_runs_and_its_model_has_the_scores_of_the_run(exported, kind, capsys):
    folder, out = exported
    card = (out / kind / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert "mcqa" not in code and ("BitsAndBytesConfig" in code) == (kind == "adapter")
    names = {}
    exec(code, names)  # with transformers and PEFT alone
    assert capsys.readouterr().out.endswith("\n")
    # bitsandbytes multiplies 4-bit weights in bfloat16 on some CPUs, which a run keeps it from doing
    bound = 1e-3 if kind == "merged" else 0.02
    for pairs, own in expected(folder):
        assert scores(names["model"].eval(), names["tokenizer"], pairs) == pytest.approx(own, abs=bound)
    assert "## Configuration" in card and card.index("## Use") < card.index("## Configuration")


@slow
def test_an_adapter_over_whole_weights_has_the_scores_of_the_run_by_peft_alone(finished_run, tmp_path):
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    export.main([str(finished_run[0]), "to=adapter", f"out={tmp_path / 'out'}"])
    model = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    for pairs, own in expected(finished_run[0]):
        assert scores(model, tokenizer, pairs) == pytest.approx(own, abs=1e-3)


@slow
def test_gguf_is_made_by_the_converter_or_its_error_is_told(exported, tmp_path):
    folder, _ = exported
    converter = tmp_path / "convert.py"
    converter.write_text("import sys; open(sys.argv[3], 'w').write(sys.argv[1])")
    export.main([str(folder), "to=gguf", f"converter={converter}", f"out={tmp_path / 'out'}"])
    assert (tmp_path / "out" / "model.gguf").read_text() == str(tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.safetensors"))
    converter.write_text("raise SystemExit('Model Qwen3 is not supported')")
    with pytest.raises(ModelError, match="ended with status 1: Model Qwen3 is not supported"):
        export.main([str(folder), "to=gguf", f"converter={converter}", f"out={tmp_path / 'other'}"])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "name one run"),
        (["a", "to=onnx"], "to=onnx: must be one of merged, adapter, gguf"),
        (["a", "push=mine"], "push=mine: a repository of the hub is owner/name."),
        (["a", "to=gguf"], "convert_hf_to_gguf.py is not on PATH"),
        (["a", "to=gguf", "converter=/no/such"], "there is no such file"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments, problem, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=problem):
        export.main(arguments)


@slow
def test_a_folder_with_something_else_is_left_alone(finished_run, tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="holds something else than an export"):
        export.main([str(finished_run[0]), f"out={tmp_path}"])


# --- a hub of our own ------------------------------------------------------------------------------------------------


class FakeHub(BaseHTTPRequestHandler):
    """The hub's interface as far as an upload of a model needs it; files go into `received`."""

    received: ClassVar[dict[str, bytes]] = {}
    token = "hf_right"

    def do_POST(self):
        body = self._body()
        if self.headers.get("authorization") != f"Bearer {self.token}":
            return self._answer({"error": "Invalid credentials"}, 401)
        url = f"http://{self.headers['host']}"
        if self.path == "/api/repos/create":
            return self._answer({"url": f"{url}/me/model", "id": "me/model"})
        if self.path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = [
                {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith("safetensors") else "regular",
                 "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]  # fmt: skip
            return self._answer({"files": files})
        if self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                one | {"actions": {"upload": {"href": f"{url}/lfs/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            return self._answer({"transfer": "basic", "objects": objects})
        if "/commit/" in self.path:
            for line in body.decode().splitlines():
                value = json.loads(line)
                self.received[value["value"].get("path", "header")] = line.encode()
            return self._answer({"commitUrl": f"{url}/me/model/commit/1", "commitOid": "1", "success": True})
        return self._answer({"error": self.path}, 404)

    def do_PUT(self):
        self.received[self.path] = self._body()
        self._answer({})

    def do_GET(self):
        self._answer({"error": "not found"}, 404)

    do_HEAD = do_GET

    def _body(self):
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _answer(self, content, status=200):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    FakeHub.received.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def pushed(folder, out, hub, token):
    environment = {"HF_ENDPOINT": hub, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "mcqa.export", str(folder), "push=me/model", f"out={out}"]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@slow
def test_a_push_uploads_the_model_with_a_card_that_names_the_repository(exported, hub, tmp_path):
    folder, _ = exported
    done = pushed(folder, tmp_path / "out", hub, "hf_right")
    assert done.returncode == 0, done.stderr
    assert {"README.md", "model.safetensors", "tokenizer.json", "config.json"} <= set(FakeHub.received)
    assert any(path.startswith("/lfs/") for path in FakeHub.received)
    assert 'place = "me/model"' in (tmp_path / "out" / "README.md").read_text()
    assert "Pushed:" in done.stdout and "hf_right" not in done.stdout + done.stderr


@slow
def test_a_wrong_token_is_told_in_a_line_and_loses_nothing(exported, hub, tmp_path):
    folder, _ = exported
    done = pushed(folder, tmp_path / "out", hub, "hf_wrong")
    assert done.returncode == 1
    assert "Is the token valid?" in done.stderr and "Traceback" not in done.stderr
    assert "hf_wrong" not in done.stderr
    assert (tmp_path / "out" / "model.safetensors").is_file()


@slow
def test_the_model_of_a_run_is_the_base_of_the_next(exported, questions_folder, tmp_path):
    folder, _ = exported
    before = (folder / "result.json").read_bytes()
    next_folder, result = trained(
        [*smaller(questions_folder, tmp_path), "+experiment=smoke", "model=run", f"model.run={folder}"]
    )
    own = json.loads(before)["metrics"]
    assert result["metrics"]["base/test/loss"] == pytest.approx(own["test/loss"], abs=1e-3)
    assert (folder / "export" / "merged" / "model.safetensors").is_file()
    assert json.loads((next_folder / "model" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        folder / "export" / "merged"
    )
    assert (folder / "result.json").read_bytes() == before


@slow
def test_the_card_of_a_run_says_how_its_model_is_made_whole_or_loaded(exported):
    folder, _ = exported  # an adapter over the embedded base
    card = (folder / "model" / "README.md").read_text()
    assert "python -m mcqa.export " in card and card.index("## Use") < card.index("## Configuration")
