"""Accumulators divided by their row's denominator and requantised."""
