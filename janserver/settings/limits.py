"""
Rate limits: the contract's table (section 6), amounts in the notation of the `limits` library.

`per` says whose requests are counted together: an address (/64 for IPv6), a user, a key or a guest.
"""

from typing import Any

RATE_LIMITS: dict[str, dict[str, Any]] = {
    "all": {"limits": ["600/minute", "10000/hour"], "per": "address"},
    "v1": {"limits": ["120/minute"], "per": "address"},
    "inference_user": {"limits": ["60/minute"], "per": "user"},
    "inference_key": {"limits": ["1000/hour"], "per": "key"},
    "inference_guest": {"limits": ["10/minute"], "per": "guest"},
    "guest_login": {"limits": ["5/minute"], "per": "address"},
}

# Streams that may run at once.
CONCURRENT_STREAMS: dict[str, int] = {"key": 20, "organization": 100}
