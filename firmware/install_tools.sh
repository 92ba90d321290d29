#!/bin/sh
# Installs those packages of debian-packages.txt that are missing, as root on a Debian; elsewhere, or
# where that fails, says which are missing and which tests are skipped for it. Ends with 0 all the
# same: everything but the firmware works without them. In continuous integration the tests
# themselves fail where a tool is missing.
#
#     install_tools.sh [NOTE]    NOTE: a file that keeps an installation that failed from being
#                                tried again each time
set -u
list="$(dirname "$0")/debian-packages.txt"
note="${1:-}"

# Package and the command that shows that it is there, for systems without dpkg.
command_of() {
  case "$1" in
    gcc-arm-none-eabi | libnewlib-arm-none-eabi) echo arm-none-eabi-gcc ;;
    util-linux) echo setpriv ;;
    libc6-dev) echo gcc ;;
    libclang-rt-14-dev) echo clang-14 ;;
    libcmocka-dev) echo gcovr ;;
    *) echo "$1" ;;
  esac
}

is_there() {
  if command -v dpkg-query >/dev/null 2>&1; then
    echo "$installed" | grep -qx "$1"
  else
    command -v "$(command_of "$1")" >/dev/null 2>&1
  fi
}

missing() {
  installed="$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')"
  sed 's/ *#.*//' "$list" | while read -r package; do
    [ -z "$package" ] || is_there "$package" || echo "$package"
  done
}

install() {
  echo "Installing tools of the firmware: $1" | tr '\n' ' '
  echo
  DEBIAN_FRONTEND=noninteractive
  export DEBIAN_FRONTEND
  apt-get update -qq || return
  # shellcheck disable=SC2086 # one word per package
  apt-get install -y -qq --no-install-recommends $1 >/dev/null && return
  for package in $1; do # one that this release does not have must not keep the others out
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null || true
  done
}

lacking="$(missing)"
[ -n "$lacking" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 &&
  { [ -z "$note" ] || [ "$(cat "$note" 2>/dev/null)" != "$lacking" ]; }; then
  install "$lacking"
  lacking="$(missing)"
  [ -z "$note" ] || { mkdir -p "$(dirname "$note")" && echo "$lacking" >"$note"; }
fi
[ -n "$lacking" ] || exit 0
echo "Missing packages of the firmware, and what is skipped without them:" >&2
for package in $lacking; do
  grep "^$package " "$list" | sed 's/^\([^ ]*\) *# */  \1: /' >&2
done
echo "As root: apt-get install" $lacking >&2
[ -z "${CI:-}" ] || echo "CI is set: the tests that need them will fail." >&2
