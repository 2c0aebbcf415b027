"""The tiny families of models live beside the tests of models."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "models"))
