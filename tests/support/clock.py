"""Simulates a change of the Redis server's clock: all times in Redis are moved the other way."""

from __future__ import annotations

from pathlib import Path

import redis

TIMES = ("submitted_ms", "promoted_ms", "started_ms", "finished_ms", "reported_ms", "missed_ms", "since_ms")
ZSETS = ("workers", "leases", "dispatchers")


def set_clock(client: redis.Redis, forward_ms: int, bench: str = "main") -> None:
    """Set the server's clock forward by this many ms, or back: heartbeats, deadlines, times of records and expiry.

    Atomic, like a step of the clock; the event stream keeps its ids, which never go back on a real server either.
    """
    moved = client.register_script(_MOVE)
    names = [*(f"reachq:{bench}:{zset}" for zset in ZSETS), "reachq:finished"]
    moved(keys=[], args=[-forward_ms, bench, ",".join(names), ",".join(TIMES)])


_MOVE = """
local by, bench = tonumber(ARGV[1]), ARGV[2]
for name in string.gmatch(ARGV[3], '[^,]+') do
  for _, member in ipairs(redis.call('ZRANGE', name, 0, -1)) do redis.call('ZINCRBY', name, by, member) end
end
for _, key in ipairs(redis.call('KEYS', 'reachq:*')) do
  if redis.call('TYPE', key).ok == 'hash' then
    for field in string.gmatch(ARGV[4], '[^,]+') do
      if redis.call('HEXISTS', key, field) == 1 then redis.call('HINCRBY', key, field, by) end
    end
  end
  local left = redis.call('PTTL', key)
  if left >= 0 and left + by <= 0 then redis.call('DEL', key) elseif left >= 0 then redis.call('PEXPIRE', key, left + by) end
end
local restart = redis.call('GET', 'reachq:' .. bench .. ':restart')
if restart then
  local who, since = string.match(restart, '^(.*) (%d+)$')
  redis.call('SET', 'reachq:' .. bench .. ':restart', who .. ' ' .. string.format('%d', since + by), 'KEEPTTL')
end
"""


class FakeClock:
    """A clock for one server process that a test can set, by libfaketime (Debian's package `faketime`)."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(fake_clock_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset_s: int) -> None:
        """Set the server's clock to the real time plus this many seconds."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+d}s\n")
        new.replace(self._file)


def fake_clock_library() -> Path | None:
    """libfaketime, None when it is not installed."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return found[0] if found else None
