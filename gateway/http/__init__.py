"""The HTTP API: what a bus cannot serve. A route parses, calls and shapes; nothing is decided here."""
