"""DSCP and the TOS byte: six bits of DSCP (RFC 2474) and two bits of ECN (RFC 3168)."""

from __future__ import annotations

from dscp.lanes import LANE_FIRST, LANE_LAST, LANES

ECN_MASK = 0b11
"""The lower two bits of the TOS byte belong to ECN (RFC 3168)."""
TOS_MASK = 0xFF & ~ECN_MASK
"""The bits of the TOS byte that contain the DSCP."""
DSCP_MAX = 63

__all__ = ["DSCP_MAX", "ECN_MASK", "LANES", "LANE_FIRST", "LANE_LAST", "TOS_MASK", "dscp_of", "is_lane", "tos_of"]


def tos_of(dscp: int, ecn: int = 0) -> int:
    """Return the TOS byte (IP_TOS, or the second byte of an IPv4 header) for a DSCP value.

    Raises ValueError if a value is out of range.
    """
    if not 0 <= dscp <= DSCP_MAX:
        raise ValueError(f"DSCP is 0-{DSCP_MAX}, not {dscp}")
    if not 0 <= ecn <= ECN_MASK:
        raise ValueError(f"ECN is 0-{ECN_MASK}, not {ecn}")
    return dscp << 2 | ecn


def dscp_of(tos: int) -> int:
    """Return the DSCP value in a TOS byte, whatever its ECN bits. Raises ValueError if `tos` is not a byte."""
    if not 0 <= tos <= 0xFF:
        raise ValueError(f"a TOS byte is 0-255, not {tos}")
    return tos >> 2


def is_lane(dscp: int) -> bool:
    """Return whether a DSCP value is one of the 32 lanes."""
    return dscp in LANES
