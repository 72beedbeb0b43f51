"""From `recipe.yaml` to a run folder: what to do (`recipe`, `plan`), how each stage does it, and in what order."""
