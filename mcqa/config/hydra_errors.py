"""What Hydra and OmegaConf raise where a configuration cannot be composed, in a line for users."""

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

MAX_DEPTH, MAX_DIGITS = 100, 1000  # of one argument

COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, ValueError, RecursionError, yaml.YAMLError, OSError)
"""What Hydra raises where a command line, or a file of the user's own, cannot be composed."""


def first_lines(error: Exception) -> str:
    """Return the message of an error of Hydra or OmegaConf in one line, without what only its developers need."""
    if isinstance(error, RecursionError):
        return f"a file of --config-dir nests its values more than {MAX_DEPTH} deep."
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "full_key:" not in line]
    if isinstance(error, UnicodeDecodeError) or "Exceeds the limit" in str(error):
        lines.insert(0, "a file of --config-dir cannot be read:")
    return " ".join(line for line in lines if not line.startswith(("object_type=", "See https")))
