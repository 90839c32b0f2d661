"""Benchmarks, which compare what they measure side by side in one run."""
