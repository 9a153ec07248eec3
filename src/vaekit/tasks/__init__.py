"""What a run is good for: pure functions that take a `Run` and return frozen records."""
