"""Logic of the forms before a run is submitted: rows of text, the location of an address, the expected start. Pure."""
