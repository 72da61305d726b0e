"""One file per concern. A rule is a function from a View to a Decision, or None when it has nothing to say."""
