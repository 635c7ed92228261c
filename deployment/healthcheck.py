"""Whether the server of this container answers: exit 0 or 1. Python alone, since a slim image has no other client."""

import os
import sys
import urllib.request

SECONDS = 4


def main() -> int:
    """Ask PARIVISION_HEALTH_URL; without it there is nothing to ask."""
    url = os.environ.get("PARIVISION_HEALTH_URL", "")
    if not url:
        return 0
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy of the environment
    try:
        with opener.open(url, timeout=SECONDS) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
