"""Logic of the forms before a run is submitted: the location of an address, the expected start, spreadsheets. Pure."""
