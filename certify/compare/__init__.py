"""Models before and after: verdicts, margins and differences side by side, and a gate for CI."""
