"""The settings, which are read once from `REACHQ_*` in the environment, validated and frozen.

Nothing else in reachq reads the environment, and importing this module reads nothing.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, Field, PrivateAttr, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger.errors import BadInput, SettingsError
from ledger.redis import address
from ledger.redis.keys import LOCAL, NO_BENCH
from ledger.runs.services import parse_services

BenchName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Network = IPv4Network | IPv6Network
DATA = Path("~/.local/state/reachq")
"""The default data folder, independent of the current folder. `~` is the user's home."""
_NO_USER_IN = frozenset({"authorization", "cookie", "host", "origin", "referer", "user-agent", "x-forwarded-for"})


def networks(text: str) -> tuple[Network, ...]:
    """Parse networks separated by commas. Raises ValueError if one is not valid."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


class RedisSettings(BaseModel):
    """Redis and the data folder."""

    data: Path = Field(
        DATA, validate_default=True, description="folder of the embedded server, its socket and the token"
    )
    redis_url: str = Field(
        "",
        repr=False,
        description="URL of the Redis server or of its Sentinels; empty: the embedded server in `data`",
    )
    redis_password_file: str = Field(
        "", description="file with the password of the Redis user; empty: the password is in `redis_url`"
    )
    memory_mb: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="memory limit of the embedded server in MB; 0: a quarter of the machine's memory",
    )

    @field_validator("data")
    @classmethod
    def _is_at_home(cls, value: Path) -> Path:
        try:
            return value.expanduser()
        except RuntimeError as error:
            raise ValueError(f"cannot be found: {error}") from None

    @field_validator("redis_url")
    @classmethod
    def _names_a_redis(cls, value: str) -> str:
        if value:
            address.check(value)
        return value

    @field_validator("redis_password_file")
    @classmethod
    def _holds_a_password(cls, value: str, info: object) -> str:
        if value:
            address.password_in(Path(value))
            if address.has_password(getattr(info, "data", {}).get("redis_url", "")):
                raise ValueError("names a password, and so does REACHQ_REDIS_URL: give only one")
        return value

    @property
    def redis_address(self) -> str:
        """URL of Redis with its password, so it must not be displayed. By default: the embedded server's socket.

        Raises SettingsError if the password file cannot be used.
        """
        if not self.redis_url:
            return f"unix://{self.data.absolute() / 'redis.sock'}"
        if not self.redis_password_file:
            return self.redis_url
        try:
            password = address.password_in(Path(self.redis_password_file))
        except ValueError as error:
            raise SettingsError(f"REACHQ_REDIS_PASSWORD_FILE: {self.redis_password_file} {error}") from None
        return address.with_password(self.redis_url, password)


class BenchSettings(BaseModel):
    """The bench."""

    network: Path | None = Field(
        None, description="facts folder that the bench replicates; empty: the sample network `campus`"
    )
    bench: BenchName = Field(
        "main",
        validation_alias=AliasChoices("REACHQ_NETWORK_NAME", "REACHQ_BENCH"),
        description="name of the network that is used where no other is named; it may also be set as `REACHQ_BENCH`",
    )
    bench_socket: str = Field(
        "", description="unix socket of the bench, a path or an `@name`; empty: `bench-NAME.sock` in `data`"
    )
    host_name: BenchName = Field(
        LOCAL,
        description="name of this host, for its workers and its bench; give each host its own if there are several",
    )
    run_timeout_s: float = Field(30.0, gt=0, le=600, description="a run without an answer after this time fails")
    quick_rules: bool = Field(True, description="whether each NO of a quick run names the blocking rule")

    @field_validator("network", mode="before")
    @classmethod
    def _is_the_sample_when_empty(cls, value: object) -> object:
        return value or None

    @field_validator("bench")
    @classmethod
    def _is_free_for_a_bench(cls, value: str) -> str:
        if value in NO_BENCH:
            raise ValueError("is reserved by reachq: choose another name for the network")
        return value


class WebSettings(BaseModel):
    """The web server."""

    host: str = Field("127.0.0.1", description="address that the web server listens on")
    port: int = Field(8080, ge=0, le=65535, description="port of the web server")
    https: bool = Field(False, description="users connect over HTTPS: cookies are Secure and named `__Host-`")
    heartbeat_s: float = Field(10.0, ge=0.1, le=300, description="interval between heartbeats on an idle event stream")
    presets: dict[str, str] = Field(
        {
            "web": "80,443",
            "mail": "25,465,587,993",
            "dns": "53/udp,53/tcp",
            "databases": "1433,1521,3306,5432,6379,27017",
            "remote access": "22,3389,5900",
            "files": "445,2049,21",
            "ping": "icmp",
        },
        description="named services on the page for new tests, a JSON object of name and services",
    )
    team_runs: bool = Field(
        False, description="whether users see the runs and comparisons of all users; they still cancel only their own"
    )
    proxy_header: str = Field(
        "", description="header in which a trusted reverse proxy sends the user name; empty: none"
    )
    proxy_from: str = Field(
        "",
        validate_default=True,
        description="addresses from which trusted proxies connect, such as `127.0.0.1,10.0.0.0/8`; empty: none",
    )

    @field_validator("presets")
    @classmethod
    def _name_services(cls, value: dict[str, str]) -> dict[str, str]:
        for name, services in value.items():
            try:
                parse_services(services)
            except BadInput as wrong:
                raise ValueError(f"preset {name!r}: {wrong}") from None
        return value

    @field_validator("proxy_header")
    @classmethod
    def _names_a_header(cls, value: str) -> str:
        if value and (not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,60}", value) or value.lower() in _NO_USER_IN):
            raise ValueError("is not a valid header name: write X-Remote-User, for instance")
        return value

    @field_validator("proxy_from")
    @classmethod
    def _trusts_networks(cls, value: str, info: object) -> str:
        try:
            networks(value)
        except ValueError:
            raise ValueError("is not a valid list of addresses and networks: write 127.0.0.1,10.0.0.0/8") from None
        if getattr(info, "data", {}).get("proxy_header") and not value.strip():
            raise ValueError("must say where the proxy connects from, or anybody could name a user in proxy_header")
        return value

    @property
    def trusted(self) -> tuple[Network, ...]:
        """The networks from which trusted proxies connect."""
        return networks(self.proxy_from)


class SignInSettings(BaseModel):
    """Signing in."""

    token: SecretStr = Field(SecretStr(""), description="bearer token of the API; empty: created at the first start")
    first_password_fd: int = Field(
        -1,
        ge=-1,
        description="descriptor to which the web server writes the first admin's password; set by `reachq up`",
    )
    session_idle_s: int = Field(43_200, ge=60, le=31_536_000, description="a session that is unused for this long ends")
    session_max_s: int = Field(604_800, ge=60, le=31_536_000, description="a session ends this long after signing in")
    signin_failures: int = Field(
        5, ge=1, le=1000, description="failed sign-in attempts allowed for a name; ten times as many for an address"
    )
    signin_window_s: int = Field(900, ge=1, le=86_400, description="the period in which these attempts are counted")


class SchedulingSettings(BaseModel):
    """Scheduling."""

    quick: int = Field(32, ge=0, le=32, description="workers for quick runs in this pool")
    detailed: int = Field(1, ge=0, le=1, description="workers for detailed runs in this pool")
    bulk: int = Field(2, ge=0, le=8, description="workers for bulk runs in this pool")
    fair_waiting: int = Field(
        32,
        ge=1,
        le=1000,
        description="waiting runs of one user and mode in the queue; further ones wait behind other users' runs",
    )
    waiting_max: int = Field(50_000, ge=1, le=10_000_000, description="maximum number of waiting questions of one user")
    overtake_s: float = Field(30.0, ge=0, le=3600, description="time in which quick runs may overtake a detailed run")
    overtake_max: int = Field(64, ge=0, le=10_000, description="number of quick runs that may overtake a detailed run")
    attempts_max: int = Field(3, ge=1, le=10, description="attempts before a run fails")


class LeaseSettings(BaseModel):
    """Leases and leadership."""

    lease_ms: int = Field(3000, ge=500, le=60_000, description="a lease that is not renewed for this long expires")
    renew_ms: int = Field(500, ge=50, le=10_000, description="interval between two renewals of a lease")
    begin_ms: int = Field(
        4000, ge=200, le=60_000, description="a promoted run that does not begin in this time is requeued"
    )
    leader_ms: int = Field(1500, ge=300, le=30_000, description="lifetime of the leadership lock")
    leader_renew_ms: int = Field(400, ge=50, le=10_000, description="interval between two renewals of the lock")

    @field_validator("renew_ms")
    @classmethod
    def _renews_in_time(cls, value: int, info: object) -> int:
        lease = getattr(info, "data", {}).get("lease_ms", 3000)
        if value * 3 > lease:
            raise ValueError(f"must be at most a third of lease_ms ({lease}), or one late beat loses the lease")
        return value

    @field_validator("leader_renew_ms")
    @classmethod
    def _leads_in_time(cls, value: int, info: object) -> int:
        lock = getattr(info, "data", {}).get("leader_ms", 1500)
        if value * 2 > lock:
            raise ValueError(f"must be at most half of leader_ms ({lock}), or one late beat loses the lock")
        return value


class HistorySettings(BaseModel):
    """History."""

    keep_finished: int = Field(10_000, ge=10, le=1_000_000, description="finished runs kept in the history")
    keep_snapshots: int = Field(
        20,
        ge=1,
        le=10_000,
        description="snapshots kept for each network, not counting the current one, pinned ones and those of comparisons",
    )
    events_max: int = Field(20_000, ge=1000, le=10_000_000, description="maximum length of the event stream")


class LogSettings(BaseModel):
    """The log."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level of the lines in the log: debug, info, warning or error"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="format of the log: text, or json with one JSON object on each line"
    )


class RemoteSettings(BaseModel):
    """The command line on another machine."""

    url: str = Field(
        "",
        description="address of the web server, such as `https://reachq.example`: `reachq` then uses its API and no Redis",
    )


class Settings(
    RemoteSettings,
    LogSettings,
    HistorySettings,
    LeaseSettings,
    SchedulingSettings,
    SignInSettings,
    WebSettings,
    BenchSettings,
    RedisSettings,
    BaseSettings,
):
    """All settings, group by group. Times are in milliseconds unless the name ends in `_s`.

    The bases are listed last to first, because pydantic checks the fields of the last base first.
    """

    model_config = SettingsConfigDict(env_prefix="REACHQ_", frozen=True, extra="forbid", populate_by_name=True)
    _own: Settings | None = PrivateAttr(None)

    @property
    def own_network(self) -> str:
        """The name of the network that this process uses where no other is named."""
        return (self._own or self).bench

    def for_network(self, name: str) -> Settings:
        """Return the settings for another network of the installation: its bench is beside that of this one.

        The facts folder (`network`) belongs only to the network of the settings.
        """
        own = self._own or self
        if name == own.bench:
            return own
        beside = str(Path(own.bench_socket).with_name(f"bench-{name}.sock")) if own.bench_socket else ""
        other = own.model_copy(update={"bench": name, "bench_socket": beside})
        other._own = own
        return other


def load_settings(**given: object) -> Settings:
    """Read the settings from the environment.

    `given` takes precedence. Raises SettingsError naming every invalid setting.
    """
    try:
        return Settings(**{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    except ValidationError as bad:
        lines = [f"{_variable(e)}: {_shown(e)} {e['msg'].removeprefix('Value error, ')}" for e in bad.errors()]
        raise SettingsError("; ".join(lines)) from None


def _variable(error: ErrorDetails) -> str:
    """Return the name of the variable in the environment, with its older name if it has one."""
    name = f"REACHQ_{str(error['loc'][0]).upper().removeprefix('REACHQ_')}"
    return f"{name} (or REACHQ_BENCH)" if name == "REACHQ_NETWORK_NAME" else name


def _shown(error: ErrorDetails) -> str:
    """Return the invalid value without any secret in it."""
    value = error.get("input")
    if error["loc"][0] == "token":
        return "the value"
    return repr(address.shown(str(value)) if error["loc"][0] == "redis_url" else value)
