#!/usr/bin/env bash
# Installs, upgrades or removes the edge agent on a gateway: see docs/gateway.md.
#
# From a checkout: sudo deploy/install.sh. Every run makes a new environment beside the one in use
# and changes over at the end, so a run that fails changes nothing. Config, keys and outbox stay.
# Nothing is downloaded but what pip needs. Bash, Debian 12 and later.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: deploy/install.sh [--from WHEEL] [--root DIR] [--no-start]
       deploy/install.sh --uninstall [--purge] [--root DIR]

  --from WHEEL   install this wheel instead of the checkout
  --no-start     install, but do not start or restart the service
  --uninstall    remove program and service; config, keys and outbox stay
  --purge        with --uninstall: remove them, too. Readings that are not acked are lost
  --root DIR     work under DIR (an image, a test): no user is made, no service started

Without a network: put wheels into a folder and set PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER.
HELP
}

say() { printf 'install.sh: %s\n' "$*"; }

# refuse MESSAGE: for what the user can mend.
refuse() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 2
}

checkout=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
from=$checkout root='' start=yes uninstall='' purge=''
while (($#)); do
  case $1 in
    --from) from=$(realpath -e -- "${2:?expected a wheel after --from}") && shift ;;
    --root) root=$(realpath -m -- "${2:?expected a folder after --root}") && shift ;;
    --no-start) start='' ;;
    --uninstall) uninstall=yes ;;
    --purge) purge=yes ;;
    -h | --help) usage && exit ;;
    *) usage >&2 && refuse "expected one of the options above, got $1" ;;
  esac
  shift
done
[[ -z $purge || -n $uninstall ]] || refuse "expected --purge only together with --uninstall"
[[ -n $root || $EUID == 0 ]] || refuse "expected to be root; run: sudo $0"

[[ -z $root || -n ${SYSTEMCTL:-} ]] || start='' # nothing to start it with

user=gridtokenx
service=gridtokenx-edge.service
program=$root/opt/gridtokenx
data=$root/var/lib/gridtokenx
config=$data/edge.toml
unit=$root/etc/systemd/system/$service

# Under --root there is no systemd to talk to, unless a test puts one in its place.
systemd() {
  [[ -n $root && -z ${SYSTEMCTL:-} ]] || "${SYSTEMCTL:-systemctl}" "$@"
}

# own PATHS...: under --root, files belong to whoever runs this.
own() {
  [[ -n $root ]] || chown "$user:$user" "$@"
}

remove() {
  systemd disable --now "$service" || say "the service was not running"
  rm -f -- "$unit" "$root/usr/local/bin/gridtokenx-edge"
  systemd daemon-reload
  rm -rf -- "$program"
  if [[ -n $purge ]]; then
    rm -rf -- "$data"
    rm -f -- "$root/etc/gridtokenx"
    say "removed, with config, keys and outbox"
  else
    say "removed; config, keys and outbox are in $data"
  fi
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
      2>/dev/null; then
      python=$candidate
      return
    fi
  done
  refuse "expected Python 3.11 or later; run: sudo apt-get install python3 python3-venv"
}

# Makes $release. Whatever goes wrong before the change-over leaves no trace.
build() {
  find_python
  release=$program/releases/$(date -u +%Y%m%dT%H%M%SZ)-$$
  trap 'rm -rf -- "$release"' EXIT
  mkdir -p -- "$program/releases"
  say "installing into $release (a few minutes on a Pi)"
  "$python" -m venv -- "$release"
  local requirement="${from}[edge]"
  # -I: what PYTHONPATH shows is not installed here.
  "$release/bin/python" -I -m pip install --quiet --disable-pip-version-check \
    --constraint "$checkout/constraints.txt" "$requirement" ||
    refuse "pip could not install; the lines above say why. Nothing was changed"
}

make_user() {
  [[ -z $root ]] || return 0
  id -u "$user" >/dev/null 2>&1 ||
    useradd --system --user-group --home-dir "$data" --no-create-home \
      --shell /usr/sbin/nologin "$user"
  usermod --append --groups dialout "$user"
}

# The folder of the config is where its relative file names are found: keys and outbox, too.
make_data() {
  is_new=''
  [[ -d $data ]] || { install -d -m 0700 -- "$data" && own "$data"; }
  mkdir -p -- "$root/etc" "$root/usr/local/bin"
  [[ -L $root/etc/gridtokenx || ! -e $root/etc/gridtokenx ]] ||
    refuse "expected $root/etc/gridtokenx not to exist, or to be a link to $data"
  [[ -e $root/etc/gridtokenx ]] || ln -s -- ../var/lib/gridtokenx "$root/etc/gridtokenx"
  [[ -e $config ]] && return
  is_new=yes
  install -m 0600 -- "$checkout/config/edge.toml" "$config"
  own "$config"
}

# A config that was good yesterday must be good for the new version, or the old one stays.
check_config() {
  [[ -z $is_new ]] || return 0
  "$release/bin/gridtokenx-edge" check-config --config "$config" ||
    refuse "the new version does not take this config; the old one goes on. Mend it, then run again"
}

# change_over RELEASE: one rename, so that there is no moment without a program.
change_over() {
  ln -sfn -- "releases/${1##*/}" "$program/current.new"
  mv -T -- "$program/current.new" "$program/current"
}

install_service() {
  install -D -m 0644 -- "$checkout/deploy/systemd/$service" "$unit"
  ln -sfn -- /opt/gridtokenx/current/bin/gridtokenx-edge "$root/usr/local/bin/gridtokenx-edge"
  systemd daemon-reload
  systemd enable "$service"
}

# Type=notify: the restart returns when the agent says that it is ready, or has failed.
restart() {
  if systemd restart "$service"; then
    return
  fi
  if [[ -z $before ]]; then
    refuse "the service does not start; see: journalctl -u $service -n 20"
  fi
  change_over "$before"
  systemd restart "$service" || true
  rm -rf -- "$release"
  refuse "the new version does not start; the old one is back. See: journalctl -u $service -n 40"
}

remove_old_releases() {
  local folder
  for folder in "$program"/releases/*; do
    # An agent that was not restarted still runs from the one before.
    [[ $folder == "$release" || (-z $start && $folder == "$before") ]] || rm -rf -- "$folder"
  done
}

if [[ -n $uninstall ]]; then
  remove
  exit
fi

before=$(readlink -e -- "$program/current" || true)
build
make_user
make_data
check_config
change_over "$release"
trap - EXIT
install_service
if [[ -n $is_new ]]; then
  say "installed. Next: edit $config or run gridtokenx-edge enrol, then: systemctl start $service"
elif [[ -n $start ]]; then
  restart
  say "installed and running"
else
  say "installed; start it with: systemctl restart $service"
fi
remove_old_releases
