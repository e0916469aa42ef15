"""Simulated reviews: how fast the loop learns when images are reviewed in one order or another."""
