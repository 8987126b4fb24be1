"""Who is connected to whom: `segments` (subnets, owners, next hops) and `ingress` (where a packet enters). Pure."""
