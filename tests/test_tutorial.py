"""The tutorial: its cells run one after the other, shortened, and leave what they tell."""

import json
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
FEWER = "SCENES, STEPS, QUANTIZE = 12, 4, ['int8']"


@pytest.fixture(scope="module")
def cells():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


@pytest.mark.slow
def test_its_cells_run(cells, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    names = {}
    for cell in code:
        is_parameters = "parameters" in cell["metadata"].get("tags", ())
        text = FEWER if is_parameters else "".join(cell["source"])
        exec(compile(text, NOTEBOOK.name, "exec"), names)
    assert names["SCENES"] == 12
    assert names["report"]["num_images"] == 2 and len(names["report"]["per_class_iou"]) == 4
    files = {path.name for path in (tmp_path / "exports").iterdir()}
    assert files == {"mosaic_int8_labels.tflite"}
    assert "of the pixels as before" in capsys.readouterr().out


@pytest.mark.slow
def test_it_runs_in_jupyters_kernel(tmp_path):
    """As readers run it; `make tutorial` has what that needs."""
    nbclient, nbformat = (pytest.importorskip(name) for name in ("nbclient", "nbformat"))
    book = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = (
        cell for cell in book.cells if "parameters" in cell["metadata"].get("tags", ())
    )
    parameters["source"] = FEWER
    done = nbclient.NotebookClient(book, timeout=600, resources={"metadata": {"path": tmp_path}})
    done.execute()
    outputs = [output for cell in done.nb.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 5
    assert "of the pixels as before" in "".join(output.get("text", "") for output in outputs)
    assert (tmp_path / "exports" / "mosaic_int8_labels.tflite").is_file()


def test_its_pictures_are_in_it_and_no_folder_of_whoever_ran_it(cells):
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 5
    assert not any(output["output_type"] == "error" for output in outputs)
    assert "/home/" not in NOTEBOOK.read_text() and "/tmp/" not in NOTEBOOK.read_text()
