"""Where the files of a network come from: a folder, an archive, or the files that a snapshot stores.

The reader gets every source by the same operations (`files.NetworkFiles`). A source gives only regular files of a
limited size that belong to the network: no link that leads out, no device, and no path that leaves the network.
"""
