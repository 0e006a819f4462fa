"""Five small volumes to predict."""

from pathlib import Path

import pytest
from oracles.small_batch import write_cases


@pytest.fixture
def data(tmp_path) -> Path:
    write_cases(tmp_path / "in", 5)
    return tmp_path / "in"
