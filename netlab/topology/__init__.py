"""The topology of the network: `segments` (subnets, owners, next hops) and `ingress` (where a packet enters). Pure."""
