# make quickstart: install, train, evaluate and export on the embedded data set.
# make test:       install and run the tests.
# make test_slow:  install and run the slow tests, which make test leaves out.
# make results:    render docs/RESULTS.md and docs/model_zoo.md from what was measured.
# make mediapipe:  compare MediaPipe's masks of exported files with predict.py's (needs MOSAIC_SHARED).
# make tutorial:   run the notebook of docs/ in Jupyter's own kernel.
# make schemas:    generate the readers and writers of TFLite metadata (with flatc 2.0.8).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := runs/quickstart

.PHONY: quickstart test test_slow results mediapipe tutorial schemas clean

quickstart: $(VENV)/.installed
	$(BIN)/python train.py --gin_file=quickstart --model_dir=$(RUN)
	$(BIN)/python eval.py --model_dir=$(RUN) --output_dir=$(RUN)/eval
	$(BIN)/python export.py --model_dir=$(RUN) --export_dir=$(RUN)/exports

test: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -m "not slow" --numprocesses=2 --dist=loadfile --no-loadscope-reorder

test_slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow --numprocesses=2 --dist=loadfile --no-loadscope-reorder

results: $(VENV)/.installed
	$(BIN)/python benchmarks/results_page.py write
	$(BIN)/python benchmarks/model_zoo.py write

# MediaPipe has an environment of its own: this project does not need it.
MEDIAPIPE := .venv-mediapipe
MEDIAPIPE_OUT := runs/mediapipe
SHARED = $(or $(MOSAIC_SHARED),../shared)
mediapipe: $(VENV)/.installed $(MEDIAPIPE)/.installed
	for output in logits logits_stride4; do \
	  $(BIN)/python export.py --gin_file=mosaic_ade20k_top31 --label_map=ade20k_top31 --for=mediapipe \
	    --checkpoint=$(SHARED)/models/mosaic_r4_ade20k_uint8.tflite --images=$(SHARED)/data/photos \
	    --export_dir=$(MEDIAPIPE_OUT) --output=$$output --size=512x512 \
	    --quantize=$$([ $$output = logits ] && echo none,float16,dynamic,int8 || echo none,int8) || exit; \
	done
	for file in $(MEDIAPIPE_OUT)/*.tflite; do \
	  $(BIN)/python predict.py --model=$$file --images=$(SHARED)/data/photos --output_dir=$$file.predictions || exit; \
	done
	$(MEDIAPIPE)/bin/python benchmarks/mediapipe_masks.py --images=$(SHARED)/data/photos --least=0.99 \
	  $(foreach kind,float32 float16 dynamic,$(MEDIAPIPE_OUT)/mosaic_$(kind)_logits.tflite)
	# Its kernels round int8 otherwise, and it repeats pixels of masks at stride 4.
	$(MEDIAPIPE)/bin/python benchmarks/mediapipe_masks.py --images=$(SHARED)/data/photos --least=0.95 \
	  $(foreach kind,int8_logits float32_logits_stride4 int8_logits_stride4,$(MEDIAPIPE_OUT)/mosaic_$(kind).tflite)

$(MEDIAPIPE)/.installed:
	$(PYTHON) -m venv $(MEDIAPIPE)
	$(MEDIAPIPE)/bin/pip install --quiet --disable-pip-version-check mediapipe
	touch $@

# Jupyter has an environment of its own too, which sees the packages of the project's.
NOTEBOOK := .venv-notebook
tutorial: $(NOTEBOOK)/.installed
	$(NOTEBOOK)/bin/python -m pytest tests/test_tutorial.py -k kernel

FOLDER_OF = -c 'import site; print(site.getsitepackages()[0])'
$(NOTEBOOK)/.installed: $(VENV)/.installed
	$(BIN)/python -m venv $(NOTEBOOK)
	$(NOTEBOOK)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt nbclient ipykernel
	echo "import site; site.addsitedir('$$($(BIN)/python $(FOLDER_OF))')" \
	  >"$$($(NOTEBOOK)/bin/python $(FOLDER_OF))/project.pth"
	touch $@

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
	rm -rf $(VENV) $(MEDIAPIPE) $(NOTEBOOK) runs exports *.egg-info
