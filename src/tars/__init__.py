"""tars: train language models to reason about safety, attack them, measure them, show the result."""

__version__ = "0.1.0"
