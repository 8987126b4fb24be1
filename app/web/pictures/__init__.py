"""Server-made SVG: the path of a service and the network. Pure: data in, markup out, everything in it escaped."""
