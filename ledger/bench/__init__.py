"""The state of the whole system: its health with a sentence for every fault, its counts, and the control of a bench."""
