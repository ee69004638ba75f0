"""The oldest versions, as continuous integration takes them from the metadata."""

from __future__ import annotations

import lowest
import pytest


def test_the_lowest_version_of_each_package():
    listed = ["numpy>=1.26", "safetensors >=0.4.3", "pytest>=8; extra == 'test'"]
    listed += ["torch==2.13.0; extra == 'reference'", 'x[y]>=1 ; extra == "test"']
    assert lowest.lowest(listed) == {"numpy": "1.26", "safetensors": "0.4.3"}
    assert set(lowest.lowest(listed, ["test"])) == {"numpy", "safetensors", "pytest", "x"}


@pytest.mark.parametrize("requirement", ["numpy", "numpy<3", "numpy~=2.0"])
def test_a_requirement_without_a_lower_bound_is_refused(requirement):
    with pytest.raises(ValueError, match="has no lower bound"):
        lowest.lowest([requirement])


def test_what_is_installed_is_compared_with_it(monkeypatch, capsys):
    monkeypatch.setattr(lowest, "requires", lambda name: ["numpy>=1.26", "tqdm>=4.66"])
    monkeypatch.setattr(lowest, "version", {"numpy": "1.26.0", "tqdm": "4.66"}.get)
    assert lowest.main(["--check"]) == 0
    assert capsys.readouterr().out == "numpy 1.26.0\ntqdm 4.66\n"
    monkeypatch.setattr(lowest, "version", {"numpy": "2.0", "tqdm": "4.66.1"}.get)
    assert lowest.main(["--check"]) == 1
    said = "numpy 2.0, but 1.26 was asked for\ntqdm 4.66.1, but 4.66 was asked for\n"
    assert capsys.readouterr().out == said
    assert lowest.main([]) == 0
    assert capsys.readouterr().out == "numpy==1.26\ntqdm==4.66\n"
