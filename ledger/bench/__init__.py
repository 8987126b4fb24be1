"""The state of the whole system: its health, with one sentence for each fault; its counts; and the control of a bench."""
