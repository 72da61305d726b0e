"""What hurt users of other systems, as stories in the simulator. docs/lessons.md is the index."""
