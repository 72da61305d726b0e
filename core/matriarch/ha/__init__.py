"""The mind of a member: pure decisions about leadership. RULES.md has the safety rules."""
