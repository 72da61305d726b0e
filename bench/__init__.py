"""Side-by-side measurements on one cluster in one run."""
