#!/bin/sh
# Installs cutover @VERSION@ into $PREFIX/bin, by default ~/.local/bin. Needs no root.
#
#   sh install.sh                              from the folder of this script
#   CUTOVER_RELEASE=https://… sh install.sh    from the URL of a folder
#
# An archive that does not have the checksum of SHA256SUMS is not unpacked.
set -eu

version="@VERSION@"
release="${CUTOVER_RELEASE:-$(dirname "$0")}"
prefix="${PREFIX:-${HOME:?}/.local}"

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

case "$(uname -s)" in
  Linux) system=unknown-linux-gnu ;;
  Darwin) system=apple-darwin ;;
  *) fail "there is no archive for $(uname -s); build it: cargo install --path cli" ;;
esac
case "$(uname -m)" in
  x86_64 | amd64) machine=x86_64 ;;
  aarch64 | arm64) machine=aarch64 ;;
  *) fail "there is no archive for $(uname -m); build it: cargo install --path cli" ;;
esac
name="cutover-$version-$machine-$system"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

take() {
  case "$release" in
    https://*) curl --fail --silent --show-error --location --proto '=https' --output "$scratch/$1" "$release/$1" ;;
    *://*) fail "$release is not a URL of https" ;;
    *) cp "$release/$1" "$scratch/$1" ;;
  esac || fail "$release has no $1"
}

take SHA256SUMS
expected="$(awk -v name="$name.tar.gz" '$2 == name { print $1 }' "$scratch/SHA256SUMS")"
[ -n "$expected" ] || fail "this release has no archive for $machine-$system; build it: cargo install --path cli"
take "$name.tar.gz"
if command -v sha256sum >/dev/null; then
  found="$(sha256sum "$scratch/$name.tar.gz")"
else
  found="$(shasum -a 256 "$scratch/$name.tar.gz")"
fi
[ "${found%% *}" = "$expected" ] || fail "the checksum of $name.tar.gz is wrong; nothing was installed"

tar -xzf "$scratch/$name.tar.gz" -C "$scratch"
mkdir -p "$prefix/bin"
# Under another name first, so that a running cutover is replaced in one step.
cp "$scratch/$name/cutover" "$prefix/bin/.cutover-$$"
chmod 755 "$prefix/bin/.cutover-$$"
mv -f "$prefix/bin/.cutover-$$" "$prefix/bin/cutover"
printf 'installed cutover %s as %s\n' "$version" "$prefix/bin/cutover"
case ":$PATH:" in
  *":$prefix/bin:"*) ;;
  *) printf 'add it to your path: export PATH="%s/bin:$PATH"\n' "$prefix" ;;
esac
