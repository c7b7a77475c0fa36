"""Readers for `cargo xtask deploy`: of wrangler.toml, of what wrangler prints as JSON, and of the Worker's health."""

import json
import sys
import tomllib
import urllib.request


def worker(file, environment):
    """Prints the name of the Worker in one environment, and the id that CUTOVER_KV is bound to there."""
    with open(file, "rb") as source:
        whole = tomllib.load(source)
    own = whole.get("env", {}).get(environment, {}) if environment else whole
    print(own.get("name") or f"{whole['name']}-{environment}")
    # No environment inherits the bindings of another.
    namespaces = own.get("kv_namespaces", [])
    print(next((each.get("id", "") for each in namespaces if each.get("binding") == "CUTOVER_KV"), ""))


def served():
    """Prints the versions of a deployment, one in each line."""
    for version in json.load(sys.stdin)["versions"]:
        print(version["version_id"])


def uploaded():
    """Prints the version that wrangler notes as uploaded."""
    entries = [json.loads(line) for line in sys.stdin if line.strip()]
    print(next(entry["version_id"] for entry in entries if entry["type"] == "version-upload"))


def health(url, name, version):
    """Asks one version of the Worker for its health, whatever its share of the requests is."""
    headers = {"Cloudflare-Workers-Version-Overrides": f'{name}="{version}"', "User-Agent": "cutover-deploy"}
    request = urllib.request.Request(f"{url.rstrip('/')}/_cutover/health", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        print(json.load(response)["status"])


globals()[sys.argv[1]](*sys.argv[2:])
