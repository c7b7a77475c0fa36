"""Readers for `cargo xtask deploy`: of wrangler.toml, of what wrangler and the AWS command line print as JSON, and of the
Worker's health."""

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


def served_before(message):
    """Prints the version of the newest deployment, and the one that served all requests before it, with the word rollback
    if the message says that this was one; nothing if the message says it of the newest deployment."""
    newest, *earlier = sorted(json.load(sys.stdin), key=lambda each: each["created_on"], reverse=True)
    if is_rollback(newest, message):
        return
    serving = served_by(newest)
    alone = (each for each in earlier if len(each["versions"]) == 1 and served_by(each) != serving)
    before = next(alone, None)
    old = served_by(before) if before else []
    print(*[version for version in serving if version not in old][:1], *old, end="")
    print(" rollback" if before and is_rollback(before, message) else "")


def is_rollback(deployment, message):
    """Returns true if a deployment has the message of a rollback."""
    return (deployment.get("annotations") or {}).get("workers/message") == message


def served_by(deployment):
    """Returns the versions of a deployment."""
    return [version["version_id"] for version in deployment["versions"]]


def versions():
    """Prints the versions of a function, each with the release in parentheses at the end of its description."""
    for version in json.load(sys.stdin)["Versions"]:
        print(version["Version"], version.get("Description", "").rpartition("(")[2].rstrip(")"))


def function_settings(before, current):
    """Prints the settings in which two versions of a function differ."""
    all_settings = {}
    for version in json.load(sys.stdin)["Versions"]:
        own = {"memory": version["MemorySize"], "timeout": version["Timeout"]}
        all_settings[version["Version"]] = own | version.get("Environment", {}).get("Variables", {})
    print_differences(all_settings[before], all_settings[current])


def worker_settings():
    """Prints the settings in which two versions of the Worker differ, of a list with the one before and the current one."""
    before, current = json.load(sys.stdin)
    print_differences(bindings(before), bindings(current))


def bindings(version):
    """Returns the bindings of a version of the Worker by their names. Those of secrets have no values."""
    return {binding["name"]: binding for binding in version["resources"].get("bindings", [])}


def print_differences(before, current):
    """Prints the name of each setting that differs, and its change; never a value."""
    for name in sorted({*before, *current}):
        if name not in current:
            print(name, "is set again")
        elif name not in before:
            print(name, "is not set any more")
        elif before[name] != current[name]:
            print(name, "has its earlier value")


def health(url, name, version):
    """Asks one version of the Worker for its health, whatever its share of the requests is."""
    headers = {"Cloudflare-Workers-Version-Overrides": f'{name}="{version}"', "User-Agent": "cutover-deploy"}
    request = urllib.request.Request(f"{url.rstrip('/')}/_cutover/health", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        print(json.load(response)["status"])


globals()[sys.argv[1]](*sys.argv[2:])
