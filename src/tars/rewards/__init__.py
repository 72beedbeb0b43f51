"""Scorers of answers, and the split rewards made of them."""
