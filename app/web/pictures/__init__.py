"""SVG made on the server: the path of a service, and the network.

Pure: data in, markup out, with everything escaped.
"""
