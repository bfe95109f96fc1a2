"""Pages of reports: made-up reports, and a reader of pages that fails on crossed tags."""

import html.parser

import numpy as np

from mosaic.evaluation import metrics

VOID = {"meta", "img", "br", "link", "input", "hr", "path"}


class Page(html.parser.HTMLParser):
    """Elements of a page in order, with their attributes and text; fails on crossed tags."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        assert not self._open, [e["tag"] for e in self._open]

    def handle_starttag(self, tag, attributes):
        inside = [e["tag"] for e in self._open]
        element = {"tag": tag, "text": "", "inside": inside, **dict(attributes)}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, *tags):
        return [e for e in self.elements if e["tag"] in tags]

    def texts(self, *tags):
        return [" ".join(e["text"].split()) for e in self.all(*tags)]

    def rows(self):
        """Cells of each table row."""
        rows = []
        for element in self.all("tr", "th", "td"):
            if element["tag"] == "tr":
                rows.append([])
            else:
                rows[-1].append(" ".join(element["text"].split()))
        return rows


def made_report(count=3, **more):
    """A report of `count` classes whose names are of no other use."""
    rng = np.random.default_rng(count)
    names = [f"class {index}" for index in range(count)]
    matrix = rng.integers(1, 9, (count, count)) + 100 * np.eye(count, dtype=int)
    return {
        "mean_iou": 0.5,
        "per_class_iou": dict(zip(names, metrics.iou(matrix).tolist())),
        "pixel_accuracy": 0.8,
        "mean_accuracy": 0.7,
        "frequency_weighted_iou": 0.6,
        "num_images": 4,
        "num_pixels": int(matrix.sum()),
        "protocol": "plain",
        "dataset": "drawn",
        "split": "val",
        "checkpoint": "runs/x/best_ckpt",
        "class_names": names,
        "confusion_matrix": matrix.tolist(),
        "other_answers": [0] * count,
        **more,
    }


PUBLISHED = {"key": "known", "mean_iou": 0.52, "source": "a paper"}


def needs_nothing(text):
    """Checks that a page loads nothing but what is inside it, and runs no script."""
    page = Page(text)
    assert not page.all("script", "link", "iframe", "object", "embed", "base")
    for element in page.elements:
        assert not [name for name in element if name.startswith("on")]
        for name in ("src", "srcset", "href", "data", "action", "poster", "xlink:href"):
            value = element.get(name) or ""
            assert value == "" or value.startswith(("data:image/", "#")), (element["tag"], value)
    styles = "".join(page.texts("style")) + "".join(e.get("style") or "" for e in page.elements)
    assert "url(" not in styles
    assert "@import" not in styles
    ids = [e["id"] for e in page.elements if "id" in e]
    assert len(ids) == len(set(ids))
    assert {e["href"][1:] for e in page.all("a")} <= set(ids)
    return page
