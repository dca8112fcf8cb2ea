"""Where an S3 store is, and requests to it that carry their own proof."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from muse.errors import UsageError
from muse.wire.uploads import SignedRequest

_DEFAULT_REGION = "us-east-1"
_OPTIONS = frozenset({"endpoint", "public_endpoint", "region", "virtual_hosted_style"})


class S3Address(NamedTuple):
    """Where a store is: `s3://bucket/prefix?endpoint=…&public_endpoint=…&region=…&virtual_hosted_style=…`.

    `endpoint` is how the hub reaches the store, `public_endpoint` how clients do. Empty: AWS of the region.
    """

    bucket: str
    prefix: str
    endpoint: str
    public_endpoint: str
    region: str
    virtual_hosted_style: bool

    def bucket_url(self, endpoint: str) -> str:
        """The address of the bucket behind one of the endpoints."""
        if not self.virtual_hosted_style:
            return f"{endpoint}/{self.bucket}"
        parts = urlsplit(endpoint)
        return f"{parts.scheme}://{self.bucket}.{parts.netloc}"


def parse_s3_address(url: str) -> S3Address:
    """Parse a store address; raises `bad-setting`."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = options.keys() - _OPTIONS
    if parts.scheme != "s3" or not parts.netloc or unknown or "@" in parts.netloc:
        what = f"unknown option {', '.join(sorted(unknown))}" if unknown else "no bucket"
        if "@" in parts.netloc:
            what = "keys do not belong into it but into store_access_key and store_secret_key"
        raise UsageError(
            "bad-setting",
            f'"{parts.scheme}://{parts.netloc.rpartition("@")[2]}" is not the address of an S3 store: {what}',
            hint="write s3://BUCKET or s3://BUCKET/PREFIX?endpoint=http://HOST:PORT&region=REGION",
        )
    region = options.get("region", _DEFAULT_REGION)
    endpoint = options.get("endpoint", f"https://s3.{region}.amazonaws.com").rstrip("/")
    return S3Address(
        bucket=parts.netloc,
        prefix=f"{parts.path.strip('/')}/" if parts.path.strip("/") else "",
        endpoint=endpoint,
        public_endpoint=options.get("public_endpoint", endpoint).rstrip("/"),
        region=region,
        virtual_hosted_style=options.get("virtual_hosted_style", "false") == "true",
    )


def sign_request(
    address: S3Address,
    keys: tuple[str, str],
    method: str,
    key: str,
    *,
    headers: Mapping[str, str] = {},
    query: Mapping[str, str] = {},
    ttl_s: int,
    public: bool,
) -> SignedRequest:
    """A request about a key that holds for `ttl_s` seconds and for exactly these headers.

    The empty key is the bucket. `public`: for a client, to the public endpoint, else for the hub itself.
    """
    from botocore.auth import S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    base = address.bucket_url(address.public_endpoint if public else address.endpoint)
    path = quote(f"{address.prefix}{key}") if key else ""
    url = f"{base}/{path}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
    request = AWSRequest(method=method, url=url, headers=dict(headers))
    S3SigV4QueryAuth(Credentials(*keys), "s3", address.region, expires=ttl_s).add_auth(request)
    expires = datetime.now(UTC) + timedelta(seconds=ttl_s)
    return SignedRequest(method, request.url, dict(headers), expires.isoformat())
