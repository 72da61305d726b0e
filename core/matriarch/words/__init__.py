"""The vocabulary: names, labels, WAL positions, errors."""
