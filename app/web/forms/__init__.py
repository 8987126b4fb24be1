"""What the forms need before anything is submitted: rows read from text, an address's place, the start time. Pure."""
