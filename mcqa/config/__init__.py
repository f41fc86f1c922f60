"""The configuration: composed by Hydra, checked, and handed on as plain dataclasses. Hydra stops here."""
