"""What several tests of this room take."""

import pytest

from tiny_network import pictures


@pytest.fixture(scope="session")
def images():
    return pictures()
