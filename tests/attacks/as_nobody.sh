#!/bin/sh
# Runs a command as the user nobody, in its own mount namespace (unshare --mount):
#   as_nobody.sh FOLDER COMMAND...
# FOLDER, the interpreter's, is made reachable if it is in a home that others may not enter.
mount --make-rprivate / && command -v setpriv >/dev/null || exit 77
case "$1" in
/root/*)
    kept=$(mktemp -d) && mount --bind "$1" "$kept" && mount -t tmpfs -o mode=755 tmpfs /root &&
        mkdir -p "$1" && mount --move "$kept" "$1" && rmdir "$kept" || exit 77
    ;;
esac
shift
export HOME=/tmp TMPDIR=/tmp
exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "$@"
