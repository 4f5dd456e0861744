"""The report stands alone, puts failures first and never shows a number that it does not know."""

from __future__ import annotations

import base64
import errno
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from documents import document
from fake_experiment import HOSTILE
from pytest_mock import MockerFixture

from fibsem_runtime.app.report import render_report, write_report
from fibsem_runtime.app.result import RunResult
from fibsem_runtime.core.errors import StorageError
from fibsem_runtime.events import MillingStarted, RunStarted, StepFinished, StepStarted
from fibsem_runtime.experiment import Experiment

VOID = {"meta", "br", "rect", "use", "image", "circle", "path", "input", "hr"}
Night = tuple[Path, RunResult]


class Page(HTMLParser):
    """Collect tags, addresses and the visible text, and check that tags are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "action")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += " " + data


def render(directory: Path, result: RunResult | None = None) -> str:
    with Experiment.open(directory) as experiment:
        return render_report(experiment, result=result)


def cells(html: str, lamella: str) -> list[str]:
    """Return the cells of a lamella's row in the summary."""
    (row,) = re.findall(rf'<tr><td><a href="#{lamella}">.*?</tr>', html, re.DOTALL)
    return [" ".join(Page(cell).text.split()) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]


def test_the_page_needs_nothing_else(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    assert not {"script", "link", "iframe", "object", "form"} & set(parsed.tags)
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in parsed.addresses)
    assert not re.search(r"https?://|@import|url\(", page)


def test_every_reference_inside_the_page_leads_somewhere(page: str) -> None:
    parsed = Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {a.removeprefix("#") for a in parsed.addresses if a.startswith("#")} <= set(parsed.ids)


def test_text_of_a_run_is_never_markup(page: str) -> None:
    assert HOSTILE not in page
    assert HOSTILE in Page(page).text


def test_failures_come_first_and_what_was_overcome_after_them(page: str) -> None:
    text = Page(page).text
    places = [
        text.index(words)
        for words in (
            "Needs attention",
            "the image after milling shows no lamella at the target",
            "unfinished: align_site pending",
            "alignment (align-target) leaves 240 nm",
            "Thickness against target",
        )
    ]
    assert places == sorted(places)


def test_the_summary_holds_measured_target_and_true_values(page: str) -> None:
    assert cells(page, "lamella-01")[1:8] == ["completed", "192", "200 ± 60", "188", "110", "143", "left, right"]
    assert cells(page, "lamella-02")[-2:] == ["2", "3"]


def test_what_is_not_known_is_a_dash(page: str, night: Night) -> None:
    assert cells(page, "lamella-03")[1:8] == ["failed", "–", "200 ± 60", "–", "–", "–", "–"]
    without_result = render(night[0])
    assert cells(without_result, "lamella-01")[1:8] == ["completed", "192", "200 ± 60", "–", "110", "–", "–"]
    assert re.search(r"<dt>wall time</dt><dd>–</dd>", without_result)


def test_the_truth_of_an_earlier_run_is_not_shown(night: Night) -> None:
    directory, result = night
    with Experiment.resume(directory) as experiment:
        facts = {"lamella": "lamella-01", "step": "polish", "at_s": 9000.0, "run_id": experiment.run_id}
        experiment.record(document(StepStarted, **facts))
        experiment.record(document(StepFinished, status="failed", duration_s=1.0, **facts))
    html = render(directory, result)
    assert cells(html, "lamella-01")[4] == "–"
    assert cells(html, "lamella-02")[4] == "247"


def test_without_a_readable_method_there_is_no_target(night: Night) -> None:
    (night[0] / "method.yaml").write_text("steps: [}", "utf-8")
    assert cells(render(*night), "lamella-01")[2:4] == ["192", "–"]


def test_images_are_small_jpegs_each_embedded_once(page: str) -> None:
    contents = re.findall(r'href="data:image/jpeg;base64,([^"]+)"', page)
    assert len(contents) == len(set(contents)) > 15
    for content in contents:
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_UNCHANGED)
        assert pixels is not None and pixels.shape[1] <= 640
    assert page.count("<use ") > len(contents)


def test_every_figure_says_how_it_was_taken_and_has_a_scale_bar(page: str) -> None:
    figures = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    assert len(figures) > 20
    for figure in figures:
        assert re.search(r"(ion|electron) beam, \d+ pA, HFW \d+ µm", figure)
        assert re.search(r"pixel [\d.]+ [nµ]m", figure)
        assert re.search(r"<text[^>]*>[125]0*\s(nm|µm)</text>", figure)


def test_before_and_after_of_a_step_are_the_same_view(page: str) -> None:
    fiducial = page[page.index("<h3>fiducial</h3>") : page.index("<h3>rough</h3>")]
    paths = re.findall(r"<strong>(before|after)</strong>.*?<code>(images/[^<]+)</code>", fiducial, re.DOTALL)
    assert [title for title, _ in paths] == ["before", "after"]
    assert "align_site-target" in paths[0][1] and "fiducial-after" in paths[1][1]


def test_corrections_are_drawn_with_both_points_and_their_distance(page: str) -> None:
    (detail,) = re.findall(
        r"<figure>(?:(?!</figure>).)*LamellaBottomEdge: corrected.*?</figure>",
        page[page.index('<section class="lamella" id="lamella-01">') : page.index('id="lamella-02"')],
        re.DOTALL,
    )
    assert 'class="m-predicted"' in detail and 'class="m-decided"' in detail
    assert "939 nm" in page


def test_milling_shows_current_and_beam_time(page: str) -> None:
    text = " ".join(Page(page).text.split())
    assert "rough_2 300 pA 10 min 10 s 10 min 10 s 6 finished" in text


def test_an_interval_without_its_end_is_not_called_finished(night: Night) -> None:
    from documents import document

    with Experiment.resume(night[0]) as experiment:
        facts = {"lamella": "lamella-03", "step": "rough", "at_s": 9000.0, "run_id": experiment.run_id}
        experiment.record(
            document(
                MillingStarted, stage="extra", beam_current_a=1e-9, from_s=0.0, until_s=50.0, total_s=50.0, **facts
            )
        )
    assert "extra 1 nA 50 s 50 s 1 not confirmed" in " ".join(Page(render(*night)).text.split())


def test_an_altered_image_is_named_and_the_rest_is_shown(night: Night) -> None:
    directory, result = night
    (path,) = directory.glob("images/lamella-01-polish-after-*.tif")
    path.write_bytes(path.read_bytes() + b"\0")
    html = render(directory, result)
    assert f"{path.name} was altered since it was recorded" in Page(html).text
    assert html.count("<figure>") > 20


def test_an_experiment_in_which_nothing_happened_has_a_report(tmp_path: Path) -> None:
    Experiment.create(tmp_path / "empty").close()
    text = Page(render(tmp_path / "empty")).text
    assert "no run of this experiment has started" in text
    assert "No site was chosen" in text


def test_a_run_that_was_cut_off_says_how_to_go_on(night: Night) -> None:
    with Experiment.resume(night[0]) as experiment:
        facts = {"method": "on-grid", "driver": "simulator", "seed": 7, "software_version": "0.2.0", "resumed": True}
        experiment.record(document(RunStarted, at_s=9000.0, run_id=experiment.run_id, lamella="", step="", **facts))
    text = " ".join(Page(render(*night)).text.split())
    assert "continue it with --resume" in text
    assert "0.1.0, 0.2.0" in text


def test_a_night_without_failures_says_so(night: Night) -> None:
    directory, result = night
    with Experiment.resume(directory) as experiment:
        for lamella in ("lamella-03", "lamella-04"):
            for step in ("align_site", "fiducial", "rough", "polish"):
                facts = {"lamella": lamella, "step": step, "at_s": 9000.0, "run_id": experiment.run_id}
                experiment.record(document(StepStarted, **facts))
                experiment.record(document(StepFinished, status="completed", duration_s=0.0, **facts))
    text = Page(render(directory, result)).text
    assert "4 of 4 lamellae completed" in text
    assert text.index("alignment (align-target) leaves") > text.index("overcome")


def test_one_experiment_has_one_report(finished_night: Night, page: str) -> None:
    assert render(*finished_night) == page


def test_the_file_is_written_at_once_or_not_at_all(night: Night, tmp_path: Path, mocker: MockerFixture) -> None:
    directory, result = night
    path = tmp_path / "report.html"
    with Experiment.open(directory) as experiment:
        assert write_report(experiment, path, result=result) == path
        before = path.read_text("utf-8")
        mocker.patch("os.fsync", side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with pytest.raises(StorageError, match=r"report\.html: No space left on device"):
            write_report(experiment, path)
    assert path.read_text("utf-8") == before
