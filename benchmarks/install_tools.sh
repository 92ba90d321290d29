#!/bin/sh
# Installs those packages of debian-packages.txt that are missing, as root on a Debian; elsewhere, or
# where that fails, says which are missing. Ends with 0 all the same: the benchmark that needs one
# says so itself and fails.
set -u
list="$(dirname "$0")/debian-packages.txt"

# Every package here has the name of its command.
missing() {
  sed 's/ *#.*//' "$list" | while read -r package; do
    [ -z "$package" ] || command -v "$package" >/dev/null 2>&1 || echo "$package"
  done
}

lacking="$(missing)"
[ -n "$lacking" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing tools of the benchmarks:" $lacking
  DEBIAN_FRONTEND=noninteractive
  export DEBIAN_FRONTEND
  # shellcheck disable=SC2086 # one word per package
  apt-get update -qq && apt-get install -y -qq --no-install-recommends $lacking >/dev/null
  lacking="$(missing)"
fi
[ -z "$lacking" ] || echo "Missing packages of the benchmarks. As root: apt-get install" $lacking >&2
