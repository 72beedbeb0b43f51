"""The micro-world: a synthetic language of safe, harmful and ambiguous requests with exact oracles.

It is the embedded default and a laboratory: every number measured in it is about this world, not about real models.
"""
