# make quickstart: install, train, evaluate and export on the embedded data set.
# make test:       install and run the tests.
# make results:    render docs/RESULTS.md and docs/model_zoo.md from what was measured.
# make schemas:    generate the readers and writers of TFLite metadata (with flatc 2.0.8).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := runs/quickstart

.PHONY: quickstart test results schemas clean

quickstart: $(VENV)/.installed
	$(BIN)/python train.py --gin_file=quickstart --model_dir=$(RUN)
	$(BIN)/python eval.py --model_dir=$(RUN) --output_dir=$(RUN)/eval
	$(BIN)/python export.py --model_dir=$(RUN) --export_dir=$(RUN)/exports

test: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

results: $(VENV)/.installed
	$(BIN)/python benchmarks/results_page.py write
	$(BIN)/python benchmarks/model_zoo.py write

schemas: FLATC := flatc --python --gen-object-api --gen-onefile
schemas:
	cd mosaic/tflite; out=$$(mktemp -d) || exit; trap 'rm -rf "$$out"' EXIT; \
	for name in metadata_schema image_segmenter_schema; do \
	  $(FLATC) --no-warnings -o "$$out" $$name.fbs || exit; \
	  { printf '# Generated from %s.fbs by `make schemas`, with flatc 2.0.8:\n' $$name; \
	    printf '#   $(FLATC) %s.fbs\n\n' $$name; \
	    cat "$$out/$${name}_generated.py"; } >$$name.py || exit; \
	done

$(VENV)/.installed: setup.cfg setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is not Python 3.10 to 3.13; name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs exports *.egg-info
