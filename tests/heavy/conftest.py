# SPDX-License-Identifier: Apache-2.0
"""What takes minutes and images of its own: `make test-heavy`. Stands on what the end-to-end tests stand on."""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
spec = importlib.util.spec_from_file_location("e2e_conftest", HERE.parent / "e2e" / "conftest.py")
e2e = importlib.util.module_from_spec(spec)
spec.loader.exec_module(e2e)
LIMIT, Msb, children, wait_gone = e2e.LIMIT, e2e.Msb, e2e.children, e2e.wait_gone
pytest_generate_tests, home, msb = e2e.pytest_generate_tests, e2e.home, e2e.msb
