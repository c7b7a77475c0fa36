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


def worker_before(release, message):
    """Prints one line about the return of the Worker to a release, of a list with its deployments and its versions:
    "stays" if a version of the release serves all requests; "moves" with the version that serves and the last one of the
    release that served all requests; or "refused" with the reason. A version made by this program has the message."""
    deployments, versions = json.load(sys.stdin)
    newest, *earlier = sorted(deployments, key=lambda each: each["created_on"], reverse=True)
    versions.sort(key=lambda each: each["number"])
    numbers = {each["id"]: each["number"] for each in versions}
    releases = releases_of(versions, message)
    serving = served_by(newest)
    if len(serving) == 1 and releases.get(serving[0]) == release:
        return print("stays")
    since = [serving]
    for versions_then in map(served_by, earlier):
        if len(versions_then) == 1 and releases.get(versions_then[0]) == release:
            [before] = versions_then
            break
        since.append(versions_then)
    else:
        return print(f"refused no version of the Worker that is of the release {release} has served all requests")
    if any(len(each) == 1 and numbers.get(each[0], 0) < numbers[before] for each in since):
        return print(f"refused a rollback has left the Worker {before}, which is of the release {release}")
    current = max(serving, key=lambda each: numbers.get(each, 0))
    between = [each for each in versions if numbers[before] < each["number"] <= numbers.get(current, 0)]
    others = [each["id"] for each in between if not is_made_here(each, message)]
    if others:
        others = ", ".join(others)
        return print(f"refused a secret or a setting of the Worker was changed since, by {others}: it would be lost")
    print("moves", current, before)


def releases_of(versions, message):
    """Returns the release of each version of the Worker. A change of a secret is a version with the code of the version
    that was uploaded before it, and so of its release."""
    releases, last = {}, None
    for version in versions:
        if is_made_here(version, message):
            last = annotations_of(version).get("workers/tag")
        elif not is_change_of_secret(version):
            last = None
        releases[version["id"]] = last
    return releases


def is_made_here(version, message):
    """Returns true if a version of the Worker was uploaded with the message. A change of a secret may keep it."""
    notes = annotations_of(version)
    return notes.get("workers/message") == message and notes.get("workers/triggered_by") != "secret"


def is_change_of_secret(version):
    """Returns true if a version of the Worker was made by `wrangler secret` or `wrangler versions secret`."""
    notes = annotations_of(version)
    beginnings = ("Updated secret ", "Deleted secret ", "Bulk updated ")
    return notes.get("workers/triggered_by") == "secret" or notes.get("workers/message", "").startswith(beginnings)


def annotations_of(version):
    """Returns the annotations of a version of the Worker."""
    return version.get("annotations") or {}


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


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Fails at a redirect, which would take the token to another host."""

    def redirect_request(self, *_):
        return None


def health(url, name, version):
    """Asks one version of the Worker for its health, whatever its share of the requests is, with the edge token from
    standard input. Prints the version that answers, or nothing if it does not say."""
    headers = {
        "Authorization": f"Bearer {sys.stdin.read().strip()}",
        "Cloudflare-Workers-Version-Overrides": f'{name}="{version}"',
        "User-Agent": "cutover-deploy",
    }
    request = urllib.request.Request(f"{url.rstrip('/')}/_cutover/health", headers=headers)
    with urllib.request.build_opener(NoRedirects).open(request, timeout=10) as response:
        print(json.load(response).get("version") or "")


globals()[sys.argv[1]](*sys.argv[2:])
