"""Can I believe it? Calibration, sweeps, evaluation, self-test."""
