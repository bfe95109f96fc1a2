"""The page on servers: its programs run, and its table is true of an exported SavedModel."""

import base64
import http.server
import json
import pathlib
import re
import threading

import numpy as np
import pytest
import tensorflow as tf

from mosaic.export import saved_model

PAGE = (pathlib.Path(__file__).parents[3] / "docs" / "serving.md").read_text()
REQUEST, WITHOUT_SERVER = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def served(small_network, drawn, tmp_path_factory):
    """A folder as the page lays it out, with a photograph beside it."""
    folder = tmp_path_factory.mktemp("served")
    saved_model.write(small_network, [drawn.images[0]], str(folder / "served" / "camvid" / "1"))
    photo = tf.io.encode_jpeg(drawn.images[1]).numpy()
    (folder / "photo.jpg").write_bytes(photo)
    return folder


@pytest.fixture
def signatures(served):
    return tf.saved_model.load(str(served / "served" / "camvid" / "1")).signatures


@pytest.fixture
def labels(served, signatures):
    """Those of the photograph, [height, width]."""
    image = tf.io.decode_jpeg((served / "photo.jpg").read_bytes())[tf.newaxis]
    found = signatures["serving_uint8"](images=image)["logits"][0].numpy().argmax(-1)
    assert len(np.unique(found)) > 1
    return found


def test_the_table_of_signatures(signatures):
    rows = re.findall(r"^\| `(serving_\w+)` \| `(\w+)`, (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    assert {row[0] for row in rows} == set(signatures)
    for name, source, kind, outputs in rows:
        (spec,) = (given := signatures[name].structured_input_signature[1]).values()
        assert list(given) == [source]
        is_file = source == "image_bytes"
        assert spec.dtype.name == ("string" if is_file else kind.split()[0].rstrip(","))
        found = signatures[name].structured_outputs
        assert set(re.findall(r"`(\w+)`", outputs)) == set(found)
        for output, dtype in re.findall(r"`(\w+)`, (\w+\d+) ", outputs):
            assert found[output].dtype.name == dtype


def test_the_program_without_a_server(served, labels, monkeypatch):
    monkeypatch.chdir(served)
    exec(WITHOUT_SERVER, found := {})
    np.testing.assert_array_equal(found["labels"], labels)


def test_the_request(served, signatures, labels, monkeypatch):
    """To a server that answers by the rules of TensorFlow Serving's page on JSON, in row format."""

    class Server(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/models/camvid:predict"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert set(body) == {"signature_name", "instances"}
            serve = signatures[body["signature_name"]]
            (name,) = serve.structured_input_signature[1]
            assert all(
                set(row) == {name} and set(row[name]) == {"b64"} for row in body["instances"]
            )
            files = [base64.b64decode(row[name]["b64"]) for row in body["instances"]]
            outputs = {
                key: value.numpy() for key, value in serve(**{name: tf.constant(files)}).items()
            }
            rows = [
                {key: value[i].tolist() for key, value in outputs.items()}
                for i in range(len(files))
            ]
            # Of a single output the name is left out.
            rows = rows if len(outputs) > 1 else [next(iter(row.values())) for row in rows]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"predictions": rows}).encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("localhost", 0), Server) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.chdir(served)
        monkeypatch.setenv("no_proxy", "localhost")
        assert "localhost:8501" in REQUEST
        exec(REQUEST.replace("8501", str(server.server_port)), found := {})
    np.testing.assert_array_equal(found["labels"], labels)
