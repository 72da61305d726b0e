"""One concern each: what it wants done next, as a function of what is observed."""
