"""Logic of the forms before a run is submitted: rows of text, the location of an address, the start time. Pure."""
